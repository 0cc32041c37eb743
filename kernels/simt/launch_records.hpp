#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

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
};
// By the name of the kernel, "braid::kernels::{anonymous}::embedding_forward_kernel<4>".
std::map<std::string, LaunchRecord> launch_records();

// How many launches, copies on the device and fills the replay that ended last carried out.
std::size_t launches_of_last_replay();

}  // namespace braid::simt
