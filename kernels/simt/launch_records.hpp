#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

// What the emulated device has carried out in this process, for tables and for tests that count.
namespace braid::simt {

struct LaunchRecord {
  std::int64_t launches = 0;
  std::int64_t threads = 0;   // of a block, the most of all launches
  std::int64_t shared = 0;    // bytes of dynamic shared memory of a block, likewise
  std::int64_t barriers = 0;  // of whole blocks, passed by all blocks of all launches
  std::int64_t shuffles = 0;  // of warps, likewise
  // Of the device's memory, each byte once a launch; 0 but in the race flavour (moved_bytes.hpp).
  std::int64_t bytes_read = 0;
  std::int64_t bytes_written = 0;
  unsigned orders = 0;       // of threads: a bit for each Order (machine.hpp) of a launch
  std::int64_t in_turn = 0;  // launches that took the next order
};
// By the name of the kernel, "braid::kernels::{anonymous}::embedding_forward_kernel<4>".
std::map<std::string, LaunchRecord> launch_records();
// The names of all kernels, each instance of a template by itself, that this program has launches
// of, whether they were carried out or not.
std::vector<std::string> launchable_kernels();

// How many launches, copies on the device and fills the replay that ended last carried out.
std::size_t launches_of_last_replay();

}  // namespace braid::simt
