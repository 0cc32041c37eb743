#if defined(BRAID_SIMT_RACES)
#include "kernels/simt/race_clocks.hpp"

#include <algorithm>
#include <unordered_map>

#include "kernels/simt/races.hpp"

namespace braid::simt::races {

bool only_counts = false;

namespace {

struct ThreadClocks {
  SharedClock known;  // but for what the thread itself has done since
  std::int32_t time = 1;
  SharedClock fenced;
  std::vector<SharedClock> received;
};

std::vector<ThreadClocks> clocks;
std::unordered_map<const void*, Clock> released;
std::unordered_map<const void*, SharedClock> exchanged;
int current_round = 0;

std::size_t number_of(const Thread& thread) { return static_cast<std::size_t>(thread.global); }
ThreadClocks& clocks_of(const Thread& thread) { return clocks[number_of(thread)]; }

void join_own(Clock& clock, const Thread& thread) {
  const ThreadClocks& own = clocks_of(thread);
  clock.join(*own.known);
  clock.known[number_of(thread)] = own.time;
}

}  // namespace

void Clock::join(const Clock& other) {
  known.resize(std::max(known.size(), other.known.size()));
  std::transform(other.known.begin(), other.known.end(), known.begin(), known.begin(),
                 [](std::int32_t a, std::int32_t b) { return std::max(a, b); });
  blocks.insert(other.blocks.begin(), other.blocks.end());
}

void start_clocks() {
  released.clear();
  exchanged.clear();
  current_round = 0;
}

void start_round(int threads) {
  ++current_round;
  const auto count = static_cast<std::size_t>(threads);
  Clock nothing;
  nothing.known.assign(count, 0);
  clocks.assign(count, {.known = std::make_shared<const Clock>(std::move(nothing))});
  // What atomics handed on before is told of whole blocks; what else was released is over.
  released.clear();
  for (auto& [address, clock] : exchanged) {
    if (clock) clock = std::make_shared<const Clock>(Clock{.blocks = clock->blocks});
  }
}

Moment now() {
  const Thread& thread = *machine.current;
  return {current_round, thread.global, clocks_of(thread).time};
}

bool is_known(const Moment& moment) {
  const Thread& thread = *machine.current;
  const Clock& known = *clocks_of(thread).known;
  if (moment.round != current_round) return known.blocks.contains(moment.round);
  return moment.thread == thread.global ||
         known.known[static_cast<std::size_t>(moment.thread)] >= moment.time;
}

void meet(Thread* const* threads, std::size_t count) {
  if (only_counts) return;
  auto all = std::make_shared<Clock>();
  const Clock* joined = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    const Clock* const known = clocks_of(*threads[i]).known.get();
    if (known != joined) all->join(*known);
    joined = known;
  }
  for (std::size_t i = 0; i < count; ++i) {
    all->known[number_of(*threads[i])] = clocks_of(*threads[i]).time++;
  }
  for (std::size_t i = 0; i < count; ++i) clocks_of(*threads[i]).known = all;
}

void release(Thread& thread, const void* object) {
  if (only_counts) return;
  join_own(released[object], thread);
  ++clocks_of(thread).time;
}

void acquire(Thread& thread, const void* object) {
  if (only_counts) return;
  const auto found = released.find(object);
  if (found == released.end()) return;
  auto known = std::make_shared<Clock>(*clocks_of(thread).known);
  known->join(found->second);
  clocks_of(thread).known = known;
}

void fence() {
  if (only_counts) return;
  ThreadClocks& own = clocks_of(*machine.current);
  auto known = std::make_shared<Clock>();
  join_own(*known, *machine.current);
  for (const SharedClock& clock : own.received) known->join(*clock);
  known->blocks.insert(current_round);
  own.known = own.fenced = known;
  own.received.clear();
  ++own.time;
}

SharedClock handed_on() { return clocks_of(*machine.current).fenced; }

void receive(const SharedClock& clock) {
  if (!clock) return;
  std::vector<SharedClock>& received = clocks_of(*machine.current).received;
  if (std::find(received.begin(), received.end(), clock) == received.end()) {
    received.push_back(clock);
  }
}

void exchange(const void* address) {
  SharedClock& here = exchanged[address];
  receive(here);
  const SharedClock fenced = handed_on();
  if (!fenced) return;
  auto joined = std::make_shared<Clock>(*fenced);
  if (here) joined->join(*here);
  here = joined;
}

}  // namespace braid::simt::races
#endif
