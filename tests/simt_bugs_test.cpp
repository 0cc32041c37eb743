// The planted bugs: which of them this flavour of the emulated device finds, and that it finds
// nothing where there is none.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <vector>

#include "engine/core/error.hpp"
#include "tests/simt/bugs.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/schedules.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr int kCount = 128;

struct Result {
  std::vector<float> out;
  std::string report;
  bool guards_intact = true;
};

Result run_bug(const samples::Bug& bug, bool planted) {
  RandomNumbers random(11);
  alignas(16) float in[kCount + 1];
  for (int i = 0; i < kCount; ++i) in[i] = static_cast<float>(random.uniform(0.5, 1));
  in[kCount] = NAN;
  std::vector<float> storage(kCount, 0.0F);
  GuardedMatrix<float> out(1, kCount);
  std::vector<unsigned> words(64, 0);
  out.fill(std::vector<double>(kCount, 0.0));
  Result result;
  try {
    bug.run({in, out.data(), words.data(), kCount}, planted);
  } catch (const DeviceError& error) {
    result.report = error.what();
  }
  result.out = out.elements();
  result.guards_intact = out.guards_are_intact();
  return result;
}

// In a process of its own: a bug may end it, and a sanitizer does. True if the bug was found.
bool found_in_own_process(const samples::Bug& bug, const simt::Schedule& schedule,
                          const std::vector<float>& expected) {
  std::cout.flush();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    static_cast<void>(std::freopen("/dev/null", "w", stderr));
    for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGILL, SIGBUS})
      std::signal(signal, SIG_DFL);
    simt::set_schedule(schedule);
    const Result result = run_bug(bug, true);
    _exit(result.report.empty() && result.guards_intact && result.out == expected ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

samples::Found expected_in_this_flavour(const samples::Bug& bug) {
#if defined(BRAID_SIMT_RACES)
  return bug.race;
#elif defined(__SANITIZE_ADDRESS__)
  return bug.address;
#else
  return bug.plain;
#endif
}

}  // namespace

TEST_CASE("simt: without its bug every kernel of the corpus is right, and nothing is reported") {
  const EmulatedGpuScope gpu(kH100);
  for (const samples::Bug& bug : samples::every_bug()) {
    INFO(bug.name);
    std::vector<float> first;
    for (const simt::Schedule& schedule : every_schedule()) {
      INFO(described(schedule));
      const ScheduleScope scope(schedule);
      const Result result = run_bug(bug, false);
      CHECK(result.report.empty());
      INFO(result.report);
      CHECK(result.guards_intact);
      if (first.empty()) first = result.out;
      CHECK(result.out == first);
      float sum = 0;
      for (const float x : result.out) sum += x;
      CHECK(sum > 0.5F);
    }
  }
}

TEST_CASE("simt: a planted bug is reported, or makes the result wrong, as the table says") {
  std::size_t found_bugs = 0;
  for (const samples::Bug& bug : samples::every_bug()) {
    INFO(bug.name);
    const std::vector<float> right = run_bug(bug, false).out;
    bool found = false;
    for (const simt::Schedule& schedule : every_schedule()) {
      found = found || found_in_own_process(bug, schedule, right);
    }
    const samples::Found expected = expected_in_this_flavour(bug);
    if (expected != samples::Found::by_chance) CHECK(found == (expected == samples::Found::yes));
    found_bugs += found ? 1 : 0;
  }
  std::cout << "Planted bugs found by this flavour of the emulated device: " << found_bugs << " of "
            << samples::every_bug().size() << '\n';
}
