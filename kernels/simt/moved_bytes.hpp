#pragma once
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "kernels/simt/launch_records.hpp"

// Which bytes of the device's memory a launch reads and writes, each counted once. Shared memory,
// stacks and the arguments are not the device's memory. Only the race flavour sees accesses.
namespace braid::simt {

// Launches from now on are not searched for races, so that the steps of whole models take seconds.
void only_count_bytes(bool only);

// What the device has given out and not taken back.
std::vector<std::span<const std::byte>> device_allocations();

class MovedBytes {
 public:
  void start_launch() { pages_.clear(); }
  // What the launch itself has written is not read from memory. Accesses of a launch without races
  // are ordered in the same way whatever the schedule, so that counts do not depend on it.
  void read(const void* address, std::size_t bytes);
  void write(const void* address, std::size_t bytes);
  // Reads in any case: which of them finds what the launch has written depends on the schedule.
  void atomic_read(const void* address, std::size_t bytes);
  void add_to(LaunchRecord& record) const;

 private:
  static constexpr std::uintptr_t kPage = 4096;
  struct Page {
    std::bitset<kPage> read;
    std::bitset<kPage> written;
  };
  template <class Note>
  void note(const void* address, std::size_t bytes, const Note& note_byte);

  std::unordered_map<std::uintptr_t, Page> pages_;
};

}  // namespace braid::simt
