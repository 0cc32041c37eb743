#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "kernels/simt/state.hpp"

// The race flavour: what each thread knows of what the others have done, by clocks. What barriers,
// fences and the like hand on is told in races.hpp.
namespace braid::simt::races {

// Launches are not searched for races; there are no clocks.
extern bool only_counts;

// How far the work of each thread is known, and the blocks that ended before and are known whole.
struct Clock {
  std::vector<std::int32_t> known;
  std::set<int> blocks;

  void join(const Clock& other);
};
// Many threads know the same.
using SharedClock = std::shared_ptr<const Clock>;

// When something was done, and by whom.
struct Moment {
  int round = -1;  // which blocks were alive together; -1: none
  int thread = 0;  // among all of these
  std::int32_t time = 0;
};

void start_clocks();
void start_round(int threads);
// Of the thread that runs.
Moment now();
// Whether the thread that runs knows of it.
bool is_known(const Moment& moment);
// What the thread that runs hands on by atomic operations and by words for others: all that it knew
// at its last fence. Absent before that.
SharedClock handed_on();
// What was handed on to the thread that runs, which knows it from its next fence on.
void receive(const SharedClock& clock);
// An atomic operation of the thread that runs: receives what those before it have handed on.
void exchange(const void* address);

}  // namespace braid::simt::races
