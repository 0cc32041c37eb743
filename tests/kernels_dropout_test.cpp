// The dropout kernel against Philox4x32-10 as its authors define it, written down once more.
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/random.hpp"
#include "kernels/dropout.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

using Words = std::array<std::uint32_t, 4>;

std::uint32_t high_of_product(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(a) * b) >> 32U);
}

Words reference_philox(Words counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const Words before = counter;
    counter[0] = high_of_product(0xCD9E8D57U, before[2]) ^ before[1] ^ key[0];
    counter[1] = 0xCD9E8D57U * before[2];
    counter[2] = high_of_product(0xD2511F53U, before[0]) ^ before[3] ^ key[1];
    counter[3] = 0xD2511F53U * before[0];
    key = {key[0] + 0x9E3779B9U, key[1] + 0xBB67AE85U};
  }
  return counter;
}

std::uint32_t low(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
std::uint32_t high(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32U); }

// What decides over an element: the upper 24 bits of its own number, in [0, 1).
double number_of(std::uint64_t seed, std::uint64_t step, std::int64_t element) {
  const auto index = static_cast<std::uint64_t>(element);
  const Words block = reference_philox({low(index / 4), high(index / 4), low(step), high(step)},
                                       {low(seed), high(seed)});
  return static_cast<double>(block[index % 4] >> 8U) * 0x1p-24;
}

struct Problem {
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  float rate = 0.5F;
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
  std::int64_t first_row = 0;
};

std::string described(const Problem& p) {
  return "N " + std::to_string(p.rows) + ", C " + std::to_string(p.columns) + ", rate " +
         std::to_string(p.rate) + ", from row " + std::to_string(p.first_row);
}

std::vector<float> expected(const Problem& p, const Numbers& in) {
  std::vector<float> out;
  for (std::int64_t n = 0; n < p.rows; ++n) {
    for (std::int64_t c = 0; c < p.columns; ++c) {
      const double number = number_of(p.seed, p.step, (p.first_row + n) * p.columns + c);
      const float x = static_cast<float>(in[static_cast<std::size_t>(n * p.columns + c)]);
      out.push_back(number < static_cast<double>(p.rate) ? 0.0F : x * (1.0F / (1.0F - p.rate)));
    }
  }
  return out;
}

enum class Place { separate, same };

std::vector<float> dropped(Backend backend, const Problem& p, const Numbers& values,
                           std::int64_t gap = 0, Place place = Place::separate) {
  GuardedMatrix<float> in(p.rows, p.columns, gap);
  in.fill(values);
  GuardedMatrix<float> separate(p.rows, p.columns, gap);
  GuardedMatrix<float>& out = place == Place::same ? in : separate;
  // The salt changes the seed by exclusive or: taken away here, it must not show.
  constexpr std::uint64_t kSalt = 0x0123456789abcdefU;
  const KernelMemory<kernels::RandomState> state{{p.seed ^ kSalt, p.step}};
  launch_on(backend, kernels::Dropout{.in = in.matrix(),
                                      .out = out.matrix(),
                                      .rate = p.rate,
                                      .state = state.data(),
                                      .salt = kSalt,
                                      .first_row = p.first_row});
  CHECK(out.guards_are_intact());
  return out.elements();
}

}  // namespace

TEST_CASE("dropout: the reference's Philox gives its authors' known answers, and the core's does") {
  const auto check = [](const Words& counter, const std::array<std::uint32_t, 2>& key,
                        const Words& answer) {
    CHECK(reference_philox(counter, key) == answer);
    const auto joined = [](std::uint32_t a, std::uint32_t b) {
      return static_cast<std::uint64_t>(b) << 32U | a;
    };
    CHECK(philox(joined(key[0], key[1]), joined(counter[2], counter[3]),
                 joined(counter[0], counter[1])) == answer);
  };
  check({0, 0, 0, 0}, {0, 0}, {0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U});
  check({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}, {0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU});
  check({0x243f6a88U, 0x85a308d3U, 0x13198a2eU, 0x03707344U}, {0xa4093822U, 0x299f31d0U},
        {0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U});
}

TEST_CASE("dropout: the same elements fall on every backend, those that Philox names") {
  RandomNumbers random(71);
  const std::uint64_t high_seed = 0xfedcba9876543210U;
  const std::vector<Problem> problems{
      {0, 3},
      {1, 1, 0.5F, 1, 1},
      {3, 5, 0.3F, 7, 2},
      {13, 17, 0.1F, high_seed, 3},
      {2, 130, 0.9F, high_seed, (std::uint64_t{1} << 40U) + 5},
      {7, 31, 0.25F, 3, 4, 29},
      {5, 3, 0.5F, 9, 9, (std::int64_t{1} << 33U) + 1},  // counters beyond 32 bits
      {33, 64, 0.5F, 11, 0},
      // In fours, of one long row or of rows with gaps, and behind others; more than a block takes.
      {3, 8, 0.5F, 12, 1, 5},
      {12, 1, 0.4F, 13, 2, 4},
      {9, 256, 0.3F, 14, 3, (std::int64_t{1} << 33U) + 3},
      // Rows shorter than four, which begin with any of the numbers that four share.
      {11, 2, 0.5F, 15, 4, 1},
      {13, 1, 0.5F, 16, 5, 2},
      {5, 3, 0.5F, 17, 6, 1},
      {1031, 3, 0.5F, 18, 7, 3},
      // As many as fours take, but the first is the last of the four that share numbers.
      {8, 3, 0.5F, 19, 8, 1},
  };
  for (const Problem& problem : problems) {
    const Numbers in = random.floats(problem.rows * problem.columns, -3, 3);
    const std::vector<float> out = expected(problem, in);
    for (const Backend backend : tested_backends()) {
      INFO(described(problem) << " on " << kernels::name_of(backend));
      for (const Place place : {Place::separate, Place::same}) {
        CHECK(dropped(backend, problem, in, 0, place) == out);
        CHECK(dropped(backend, problem, in, 3, place) == out);
        CHECK(dropped(backend, problem, in, 4, place) == out);
      }
    }
  }
}

TEST_CASE("dropout: an element falls from the first rate above its number on") {
  for (const std::int64_t element : {0, 1, 2, 3, 4, 7, 33}) {
    Problem problem{1, 34, 0, 5, 6};
    const auto number = static_cast<float>(number_of(5, 6, element));
    const Numbers ones(34, 1.0);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", element " << element);
      const auto at = static_cast<std::size_t>(element);
      problem.rate = number;
      CHECK(dropped(backend, problem, ones)[at] != 0);
      problem.rate = std::nextafter(number, 1.0F);
      CHECK(dropped(backend, problem, ones)[at] == 0);
    }
  }
}

TEST_CASE("dropout: rate 0 keeps everything as it is, rate 1 leaves zeros") {
  RandomNumbers random(72);
  const Numbers in = random.floats(35, -3, 3);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    const std::vector<float> kept = dropped(backend, {5, 7, 0.0F, 1, 2}, in);
    CHECK(Numbers(kept.begin(), kept.end()) == in);
    CHECK(dropped(backend, {5, 7, 1.0F, 1, 2}, in) == std::vector<float>(35, 0.0F));
  }
}

TEST_CASE("dropout: a batch cut anywhere loses the elements that the whole batch loses") {
  RandomNumbers random(73);
  for (const std::int64_t columns : {1, 3, 4, 9}) {
    const Problem whole{11, columns, 0.4F, 21, 22, 3};
    const Numbers in = random.floats(11 * columns, -3, 3);
    for (const Backend backend : tested_backends()) {
      INFO(kernels::name_of(backend) << ", C " << columns);
      const std::vector<float> together = dropped(backend, whole, in);
      for (const std::int64_t rows : {1, 2, 5}) {
        std::vector<float> apart;
        for (std::int64_t first = 0; first < 11; first += rows) {
          Problem part = whole;
          part.first_row = whole.first_row + first;
          part.rows = std::min(rows, 11 - first);
          const std::vector<float> here =
              dropped(backend, part,
                      {in.begin() + first * columns, in.begin() + (first + part.rows) * columns});
          apart.insert(apart.end(), here.begin(), here.end());
        }
        CHECK(apart == together);
      }
    }
  }
}

TEST_CASE("dropout: what falls becomes 0, even NaN and infinity") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Problem problem{1, 64, 0.5F, 31, 32};
  for (const double value : {std::nan(""), infinity, -infinity}) {
    for (const Backend backend : tested_backends()) {
      const std::vector<float> out = dropped(backend, problem, Numbers(64, value));
      for (std::int64_t c = 0; c < 64; ++c) {
        const float x = out[static_cast<std::size_t>(c)];
        CHECK((number_of(31, 32, c) < 0.5 ? x == 0 : !std::isfinite(x)));
      }
    }
  }
}
