// What each wrapper of the facade must do. The emulated device is compared with plain expressions
// here, and with a GPU, bit for bit, where one answers.
#include <bit>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "kernels/launch.hpp"
#include "kernels/simt/matrix.hpp"
#include "tests/simt/contracts.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/schedules.hpp"

using namespace braid;
using namespace braid::testing;
using samples::kContractThreads;
using samples::kContractWords;

namespace {

using Words = std::vector<std::uint32_t>;

Words random_words() {
  RandomNumbers random(31);
  Words words(static_cast<std::size_t>(kContractThreads * kContractWords));
  for (std::uint32_t& word : words) word = static_cast<std::uint32_t>(random.bits());
  return words;
}

std::uint32_t& at(Words& words, int thread, int word) {
  return words[static_cast<std::size_t>(thread * kContractWords + word)];
}

Words emulated_outcome(const std::string& name, const Words& in) {
  for (const samples::Contract& contract : samples::emulated::every_contract()) {
    if (contract.name == name) return samples::emulated::outcome(contract, in);
  }
  FAIL("no contract " << name);
  return {};
}

}  // namespace

TEST_CASE("simt contracts: every one gives the same bits in every order of threads") {
  const EmulatedGpuScope gpu(kH100);
  const Words in = random_words();
  for (const samples::Contract& contract : samples::emulated::every_contract()) {
    INFO(contract.name);
    const Words first = samples::emulated::outcome(contract, in);
    for (const simt::Schedule& schedule : every_schedule()) {
      const ScheduleScope scope(schedule);
      CHECK(samples::emulated::outcome(contract, in) == first);
    }
  }
}

#if BRAID_WITH_CUDA
TEST_CASE("simt contracts: a GPU gives the bits of the emulated device") {
  if (!kernels::is_supported(kernels::Backend::cuda)) {
    std::cout << "skipped: no GPU answers, the wrappers of the facade are unverified\n";
    return;
  }
  const Words in = random_words();
  const std::vector<samples::Contract> gpu = samples::cuda::every_contract();
  const std::vector<samples::Contract> emulated = samples::emulated::every_contract();
  for (std::size_t i = 0; i < gpu.size(); ++i) {
    INFO(gpu[i].name);
    CHECK(samples::cuda::outcome(gpu[i], in) == samples::emulated::outcome(emulated[i], in));
  }
}
#endif

TEST_CASE("simt contracts: shuffles take the value of the lane that they name") {
  Words in = random_words();
  Words out = emulated_outcome("shuffles", in);
  for (int thread = 0; thread < kContractThreads; ++thread) {
    const int warp = thread / 32 * 32;
    const int lane = thread % 32;
    const int source = static_cast<int>(at(in, thread, 1) % 64);
    const auto value = [&](int other) { return at(in, warp + other, 0); };
    CHECK(at(out, thread, 0) == value(source % 32));
    CHECK(at(out, thread, 1) == value(lane / 8 * 8 + source % 8));
    CHECK(at(out, thread, 2) == value(lane < 3 ? lane : lane - 3));
    CHECK(at(out, thread, 3) == value(lane % 16 < 3 ? lane : lane - 3));
    CHECK(at(out, thread, 4) == value(lane + 5 > 31 ? lane : lane + 5));
    CHECK(at(out, thread, 5) == value(lane % 8 + 5 > 7 ? lane : lane + 5));
    CHECK(at(out, thread, 6) == value(lane ^ 9));
    // A lane of a later segment cannot be reached, one of an earlier one can.
    CHECK(at(out, thread, 7) == value((lane ^ 9) > lane / 8 * 8 + 7 ? lane : lane ^ 9));
  }
}

TEST_CASE("simt contracts: votes, matches and reductions see every lane of the warp") {
  const EmulatedGpuScope gpu(kH100);
  Words in = random_words();
  Words out = emulated_outcome("ballot, match, reductions of a warp", in);
  int twos = 0;
  for (int thread = 0; thread < kContractThreads; ++thread) {
    twos += (at(in, thread, 0) & 2U) != 0 ? 1 : 0;
  }
  for (int thread = 0; thread < kContractThreads; ++thread) {
    const int warp = thread / 32 * 32;
    std::uint32_t ballot = 0;
    std::uint32_t equal = 0;
    std::uint32_t sum = 0;
    std::uint32_t largest = 0;
    std::int32_t smallest = INT32_MAX;
    std::uint32_t odd = 0;
    for (int lane = 0; lane < 32; ++lane) {
      const std::uint32_t value = at(in, warp + lane, 0);
      ballot |= (value & 1U) << static_cast<unsigned>(lane);
      equal |= (value % 5 == at(in, thread, 0) % 5 ? 1U : 0U) << static_cast<unsigned>(lane);
      sum += value;
      largest = std::max(largest, value);
      smallest = std::min(smallest, static_cast<std::int32_t>(value));
      odd ^= value;
    }
    CHECK(at(out, thread, 0) == ballot);
    CHECK(at(out, thread, 1) == 0);
    CHECK(at(out, thread, 2) == 1);
    CHECK(at(out, thread, 3) == equal);
    CHECK(at(out, thread, 4) == sum);
    CHECK(at(out, thread, 5) == largest);
    CHECK(at(out, thread, 6) == static_cast<std::uint32_t>(smallest));
    CHECK(at(out, thread, 7) == odd);
    CHECK(at(out, thread, 8) == static_cast<std::uint32_t>(twos));
  }
}

TEST_CASE("simt contracts: copies bring all bytes, and zeros where they are told to") {
  const EmulatedGpuScope gpu(kH100);
  Words in = random_words();
  Words out = emulated_outcome("cp_async", in);
  Words bulk = emulated_outcome("bulk_copy, mbarrier", in);
  for (int thread = 0; thread < kContractThreads; ++thread) {
    for (int i = 0; i < 6; ++i) CHECK(at(out, thread, i) == at(in, thread ^ 1, i));
    CHECK(at(out, thread, 6) == 0);
    CHECK(at(out, thread, 7) == 0);
    CHECK(at(out, thread, 8) == at(in, thread ^ 1, 10));
    CHECK(at(out, thread, 9) == at(in, thread ^ 1, 11));
    CHECK(at(out, thread, 10) == at(in, thread ^ 1, 15));
    CHECK(at(out, thread, 11) == 0);
    for (int i = 0; i < kContractWords; ++i) CHECK(at(bulk, thread, i) == at(in, thread ^ 3, i));
  }
}

TEST_CASE("simt contracts: a barrier of the grid lets every block see what all wrote before it") {
  Words in = random_words();
  Words out = emulated_outcome("grid_sync", in);
  Words expected = in;
  for (unsigned round = 0; round < 3; ++round) {
    Words before = expected;
    for (int thread = 0; thread < kContractThreads; ++thread) {
      for (int word = 0; word < kContractWords; ++word) {
        at(expected, thread, word) = 3 * at(before, thread, word) +
                                     at(before, thread ^ (1 << round), (word + 4) % kContractWords);
      }
    }
  }
  CHECK(out == expected);
}

TEST_CASE("simt contracts: words left for other blocks arrive whole, one by one and four at once") {
  Words in = random_words();
  Words out = emulated_outcome("load_relaxed, store_relaxed", in);
  for (int thread = 0; thread < kContractThreads; ++thread) {
    for (int block = 0; block < 4; ++block) {
      CHECK(at(out, thread, block) == (at(in, thread, block) | 1U));
      CHECK(at(out, thread, 4 + block) == at(out, thread, (block + 1) % 4));
      CHECK(at(out, thread, 8 + block) == at(out, thread, block));
    }
  }
}

TEST_CASE("simt contracts: 16-bit floats round to nearest, ties to even") {
  Words in = random_words();
  const std::map<float, float> halves{{1.0F, 1.0F},           {2049.0F, 2048.0F},
                                      {2051.0F, 2052.0F},     {65519.0F, 65504.0F},
                                      {65520.0F, INFINITY},   {0x1p-25F, 0.0F},
                                      {0x1.8p-24F, 0x1p-23F}, {-0x1.004p-14F, -0x1.004p-14F}};
  int thread = 0;
  for (const auto& [number, rounded] : halves) {
    at(in, thread++, 0) = std::bit_cast<std::uint32_t>(number);
  }
  Words out = emulated_outcome("half, bfloat16", in);
  thread = 0;
  for (const auto& [number, rounded] : halves) {
    INFO(number);
    CHECK(std::bit_cast<float>(at(out, thread, 2)) == rounded);
    const float bfloat = std::bit_cast<float>(at(out, thread, 0));
    CHECK(std::fabs(bfloat - number) <= std::fabs(number) / 256);
    CHECK((at(out, thread, 0) & 0xFFFFU) == 0);
    ++thread;
  }
}

TEST_CASE("simt contracts: numbers that are nearly right are near enough") {
  Words in = random_words();
  // Rows whose last place is a multiple away, and places at their ends.
  for (int thread = 0; thread < 12; ++thread) {
    const auto per_row = static_cast<std::uint32_t>(thread * 389 + 1);
    at(in, thread, 0) = per_row - 1;
    at(in, thread, 2) = 499999 / per_row * per_row - (thread % 3 == 0 ? 1U : 0U);
  }
  Words out = emulated_outcome("approximate_reciprocal, approximate_power_of_two", in);
  for (int thread = 0; thread < kContractThreads; ++thread) {
    CHECK(at(out, thread, 0) == 1);
    CHECK(at(out, thread, 1) == 1);
    CHECK(at(out, thread, 2) == at(in, thread, 2) % 500000 / (1 + at(in, thread, 0) % 5000));
  }
}

TEST_CASE("simt contracts: a tensor core drops what lies below its sum's last place") {
  const float ones[4] = {1, 1, 1, 1};
  const float tiny[4] = {0x1p-25F, 0x1p-26F, 0x1p-26F, 0};
  // 2^-25 is kept until the end, 2^-26 twice is not, and the float's rounding drops the rest.
  CHECK(simt::fused_sum(1.0F, ones, tiny, 4) == 1.0F);
  CHECK(simt::fused_sum(0.0F, ones, tiny, 4) == 0x1p-24F);
  const float small[4] = {0x1p-24F, 0x1p-24F, 0, 0};
  CHECK(simt::fused_sum(1.0F, ones, small, 4) == 1.0F + 0x1p-23F);
  const float minus[4] = {-0x1p-24F, 0, 0, 0};
  CHECK(simt::fused_sum(1.0F, ones, minus, 4) == 1.0F - 0x1p-24F);
  const float infinite[4] = {INFINITY, 1, 1, 1};
  CHECK(simt::fused_sum(1.0F, ones, infinite, 4) == INFINITY);
}
