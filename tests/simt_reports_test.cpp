// What the emulated device says: launches that no device takes, and where a kernel went wrong.
#include <string>
#include <vector>

#include "engine/core/error.hpp"
#include "kernels/simt/runnable_set.hpp"
#include "tests/simt/bugs.hpp"
#include "tests/simt/samples.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/schedules.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

std::string report_of(const std::string& name) {
  for (const samples::Bug& bug : samples::every_bug()) {
    if (bug.name != name) continue;
    alignas(16) float in[129] = {};
    alignas(16) float out[160] = {};
    std::vector<unsigned> words(64, 0);
    try {
      bug.run({in, out, words.data(), 128}, true);
    } catch (const DeviceError& error) {
      return error.what();
    }
    return "nothing was reported";
  }
  FAIL("no bug " << name);
  return "";
}

const kernels::Stream kStream{kernels::Backend::emulated};

}  // namespace

TEST_CASE("simt: a report names kernel, shape, block, thread and place") {
  const std::string report = report_of("lane_outside_of_its_mask");
  CHECK_THAT(report, ContainsSubstring("lane_outside_of_its_mask_kernel<true>"));
  CHECK_THAT(report, ContainsSubstring("grid (2, 1, 1), block (64, 1, 1)"));
  CHECK_THAT(report,
             ContainsSubstring("block (0, 0, 0), thread (16, 0, 0) at bugs_within_blocks.cu:"));
  CHECK_THAT(report, ContainsSubstring("lane 16 is outside of its mask (0, 1, 2, 3,"));
}

TEST_CASE("simt: each kind of mistake has words of its own") {
  const EmulatedGpuScope gpu(kH100);
  const std::pair<const char*, const char*> words[] = {
#if defined(BRAID_SIMT_RACES)
    {"barrier_in_a_branch", "race: reads shared memory at bugs_within_blocks.cu:"},
    {"flag_without_a_fence_before", "race: reads global memory at bugs_between_blocks.cu:"},
#else
    {"barrier_in_a_branch",
     "barrier divergence: ended, while 48 threads wait at bugs_within_blocks.cu:"},
#endif
    {"two_barriers_for_one", "barrier divergence: __syncthreads here, while other threads wait at"},
    {"return_before_a_barrier", "barrier divergence: ended, while 63 threads wait"},
    {"mask_names_absent_lanes", "deadlock: 32 in a shuffle at bugs_within_blocks.cu:"},
    {"different_operations", "different operations: a ballot here, while other lanes are in"},
    {"misaligned_vector", "ld_vec: the address is 4 bytes beyond a multiple of 16"},
    {"blocks_await_each_other", "livelock: nothing changes any more; 1 in a loop"},
    {"mbarrier_wrong_bytes", "deadlock: 64 in mbarrier_wait at"},
    {"mbarrier_without_fence", "without fence_mbarrier_init"},
    {"more_shared_memory_than_asked",
     "declares 20480 bytes of shared arrays beside 29696 dynamic ones; at most 49152 and 49152"},
#if !defined(__SANITIZE_ADDRESS__)  // which ends the process
    {"shared_write_off_by_one", "wrote 0 bytes behind the end of shared array \"tile\""},
    {"dynamic_memory_too_small", "wrote 0 bytes behind the end of its dynamic shared memory"},
#endif
  };
  for (const auto& [bug, text] : words) {
    INFO(bug);
    CHECK_THAT(report_of(bug), ContainsSubstring(text));
  }
}

TEST_CASE("simt: a kernel that failed leaves the device fit for the next one") {
  CHECK_THAT(report_of("return_before_a_barrier"), ContainsSubstring("divergence"));
  GuardedMatrix<float> in(std::vector<double>(100, 0.5), 1);
  GuardedMatrix<float> partial(5, 1);
  GuardedMatrix<float> out(1, 1);
  samples::emulated::sum(kStream, in.data(), 100, partial.data(), out.data());
  CHECK(out.values() == std::vector<double>{50});
}

TEST_CASE("simt: launches that no device takes are refused with their shape") {
  const EmulatedGpuScope gpu(kH100);
  float x = 0;
  const auto softmax = [&](int rows, int columns) {
    samples::emulated::softmax(kStream, &x, &x, rows, columns);
  };
  CHECK_THROWS_WITH(softmax(0, 4), ContainsSubstring("softmax_kernel, grid (0, 1, 1)") &&
                                       ContainsSubstring("at least one block"));
  CHECK_THROWS_WITH(softmax(1, 100000), ContainsSubstring("shared memory 400000") &&
                                            ContainsSubstring("at most 232448 bytes"));
  CHECK_THROWS_AS(softmax(1, 100000), DeviceError);
  CHECK_THROWS_WITH(samples::emulated::smooth(kStream, &x, &x, 1 << 20, 1),
                    ContainsSubstring("grid (16384, 1, 1)") &&
                        ContainsSubstring("cooperative launch runs all blocks at once"));
}

TEST_CASE("simt: the device counts the launches of each kernel") {
  const auto launches = [] {
    for (const auto& [name, count] : simt::launched_kernels()) {
      if (name.find("samples::{anonymous}::sum_kernel") != std::string::npos) return count;
    }
    return std::int64_t{0};
  };
  const std::int64_t before = launches();
  GuardedMatrix<float> in(std::vector<double>{1}, 1);
  GuardedMatrix<float> partial(5, 1);
  GuardedMatrix<float> out(1, 1);
  samples::emulated::sum(kStream, in.data(), 1, partial.data(), out.data());
  CHECK(launches() == before + 2);
}

TEST_CASE("simt: the set of threads that can run finds the first, the last and the next") {
  simt::RunnableSet set;
  set.reset(33000);
  CHECK(set.empty());
  for (const int number : {5, 64, 4095, 4096, 32999}) set.insert(number);
  CHECK(set.first() == 5);
  CHECK(set.last() == 32999);
  CHECK(set.at_or_after(6) == 64);
  CHECK(set.at_or_after(4097) == 32999);
  set.erase(32999);
  CHECK(set.at_or_after(4097) == 5);
  CHECK(set.last() == 4096);
  set.erase(4096);
  set.erase(4095);
  set.erase(64);
  set.erase(5);
  CHECK(set.empty());
}
