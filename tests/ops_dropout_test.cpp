// Dropout: which elements fall depends on seed, step, salt and place alone.
#include <cmath>

#include "engine/core/random.hpp"
#include "engine/graph/ops/dropout.hpp"
#include "engine/runtime/program.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// The number that decides about an element, by the definition in kernels/dropout.hpp.
float uniform_of(const kernels::RandomState& state, std::uint64_t salt, std::int64_t element) {
  const auto place = static_cast<std::uint64_t>(element);
  const auto block = philox(state.seed ^ (salt * 0x9E3779B97F4A7C15U), state.step, place / 4);
  return uniform_from(block[place % 4]);
}

OpCheck dropout_of(Array in, double rate, std::uint64_t salt, const kernels::RandomState& state) {
  OpCheck check{.name = named("dropout ", rate, " of ", in.shape)};
  check.inputs = {batched("in", std::move(in)).any_length(3)};
  check.state = {.random = state};
  check.rows_stand_alone = false;
  check.build = [rate, salt](Graph& graph, const Values& in) -> Values {
    return {ops::dropout(graph, in[0], rate, salt)};
  };
  check.reference = [=](const Arrays& in) -> Arrays {
    Array out = in[0];
    for (std::int64_t i = 0; i < out.elements(); ++i) {
      const bool falls = uniform_of(state, salt, i) < static_cast<float>(rate);
      out[i] = falls ? 0 : out[i] / (1 - static_cast<double>(static_cast<float>(rate)));
    }
    return {out};
  };
  return check;
}

std::vector<OpCheck> dropouts() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (const Shape& shape :
       and_random({{0, 3}, {1, 1}, {7, 3}, {33, 5}, {67, 2}, {9, 2, 3}, {13}}, 3, random)) {
    for (const double rate : {0.0, 0.1, 0.5, 0.999, 1.0}) {
      const kernels::RandomState state{.seed = random.bits(), .step = random.bits() >> 40U};
      checks.push_back(dropout_of(random_array(shape, random), rate, random.bits() % 100, state));
    }
  }
  return checks;
}

// Two dropouts one behind the other, and one beside them.
std::vector<OpCheck> several_dropouts() {
  RandomNumbers random(2);
  const kernels::RandomState state{.seed = 5, .step = 6};
  OpCheck check = dropout_of(random_array({21, 3}, random), 0.5, 1, state);
  check.name = "three dropouts";
  check.build = [](Graph& graph, const Values& in) -> Values {
    return {ops::dropout(graph, ops::dropout(graph, in[0], 0.5, 1), 0.25, 2),
            ops::dropout(graph, in[0], 0.25, 3)};
  };
  check.reference = [=](const Arrays& in) -> Arrays {
    const auto once = [&](const Array& array, double rate, std::uint64_t salt) {
      return dropout_of(array, rate, salt, state).reference({array})[0];
    };
    return {once(once(in[0], 0.5, 1), 0.25, 2), once(in[0], 0.25, 3)};
  };
  return {check};
}

const OpFamily family{dropouts, several_dropouts};

// What falls of `rows` x `columns` ones.
std::vector<bool> fallen(std::int64_t rows, std::int64_t columns, double rate, std::uint64_t salt,
                         const kernels::RandomState& state) {
  auto graph = std::make_shared<Graph>();
  const Value in = graph->input("in", {.shape = {None, columns}, .batched = true});
  const Program program(graph, {ops::dropout(*graph, in, rate, salt)},
                        {{.shape = {rows, columns}, .batched = true}});
  const std::vector<float> ones(static_cast<std::size_t>(rows * columns), 1.0F);
  Workspace workspace(Device::cpu());
  workspace.run(program, {reinterpret_cast<const std::byte*>(ones.data())}, {.random = state});
  const float* out = workspace.output<float>(program, 0).data;
  std::vector<bool> zeros;
  for (std::int64_t i = 0; i < rows * columns; ++i) zeros.push_back(out[i] == 0.0F);
  return zeros;
}

double share(const std::vector<bool>& flags) {
  return static_cast<double>(std::count(flags.begin(), flags.end(), true)) /
         static_cast<double>(flags.size());
}

// How often both are true, beyond chance, in deviations of what independent flags would give.
double correlation(const std::vector<bool>& a, const std::vector<bool>& b) {
  std::size_t both = 0;
  for (std::size_t i = 0; i < a.size(); ++i) both += a[i] && b[i] ? 1 : 0;
  const double p = share(a) * share(b);
  const auto count = static_cast<double>(a.size());
  return (static_cast<double>(both) - count * p) / std::sqrt(count * p * (1 - p));
}

}  // namespace

TEST_CASE("philox gives the published numbers") {
  // The test vectors of Random123, the authors' library.
  CHECK(philox(0, 0, 0) ==
        std::array<std::uint32_t, 4>{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U});
  CHECK(philox(~std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0}) ==
        std::array<std::uint32_t, 4>{0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU});
  CHECK(philox(0x299f31d0a4093822U, 0x0370734413198a2eU, 0x85a308d3243f6a88U) ==
        std::array<std::uint32_t, 4>{0xd16cfe09U, 0x94fdcceb, 0x5001e420U, 0x24126ea1U});
}

TEST_CASE("ops: dropout scales what stays, and the gradient falls with its element") {
  check(dropouts());
  check(several_dropouts());
}

TEST_CASE("ops: dropout drops the share that it says, independently") {
  const std::int64_t rows = 997;
  const std::int64_t columns = 101;
  const auto count = static_cast<double>(rows * columns);
  for (const double rate : {0.1, 0.3, 0.5, 0.9}) {
    const kernels::RandomState state{.seed = 11, .step = 3};
    const std::vector<bool> drawn = fallen(rows, columns, rate, 1, state);
    CHECK(std::fabs(share(drawn) - rate) < 4 * std::sqrt(rate * (1 - rate) / count));
    // Another step, seed or dropout, and the element one or one row further.
    CHECK(std::fabs(correlation(drawn, fallen(rows, columns, rate, 1, {11, 4}))) < 4);
    CHECK(std::fabs(correlation(drawn, fallen(rows, columns, rate, 1, {12, 3}))) < 4);
    CHECK(std::fabs(correlation(drawn, fallen(rows, columns, rate, 2, state))) < 4);
    for (const std::ptrdiff_t distance : {1, 4, 101}) {
      const std::vector<bool> here(drawn.begin(), drawn.end() - distance);
      const std::vector<bool> there(drawn.begin() + distance, drawn.end());
      CHECK(std::fabs(correlation(here, there)) < 4);
    }
    CHECK(drawn == fallen(rows, columns, rate, 1, state));
  }
}

TEST_CASE("ops: dropout drops the same elements whatever else is in the batch") {
  const kernels::RandomState state{.seed = 7, .step = 1};
  const std::vector<bool> all = fallen(257, 5, 0.5, 1, state);
  const std::vector<bool> few = fallen(3, 5, 0.5, 1, state);
  CHECK(std::equal(few.begin(), few.end(), all.begin()));
}
