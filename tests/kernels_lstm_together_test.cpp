// A row that several cores have in hand gets the bits of one core, whoever comes first.
#include <bit>
#include <cstdint>
#include <thread>
#include <vector>

#include <braid/braid.hpp>

#include "kernels/lstm_together.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/lstm_kernel.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::LstmForwardTogether;
using kernels::OtherCores;

namespace {

using Work = void (*)(const void*, std::int64_t, int);

// Nobody comes before the core that goes through the steps has done everything.
void run_in_order(std::int64_t pieces, Work work, const void* context) {
  for (std::int64_t piece = 0; piece < pieces; ++piece) work(context, piece, 0);
}
// Others have done all that they can before it begins.
void run_backwards(std::int64_t pieces, Work work, const void* context) {
  for (std::int64_t piece = pieces; piece-- > 0;) work(context, piece, 0);
}
void run_at_once(std::int64_t pieces, Work work, const void* context) {
  std::vector<std::thread> threads;
  for (std::int64_t piece = 1; piece < pieces; ++piece)
    threads.emplace_back(work, context, piece, static_cast<int>(piece));
  work(context, 0, 0);
  for (std::thread& thread : threads) thread.join();
}

// As bits: what is not written is NaN.
using Results = std::vector<std::uint32_t>;

// Without others, by the kernel of one core.
Results results_of(Backend backend, const LstmProblem& problem, bool keeps,
                   const OtherCores& others) {
  const kernels::LstmShape shape{problem.rows, problem.steps, problem.features, problem.units};
  LstmKernel kernel(backend, problem, 3);
  GuardedMatrix<float> sequence(problem.steps, problem.units, 2);
  GuardedMatrix<float> output(1, problem.units);
  GuardedMatrix<float> h(1, problem.units);
  GuardedMatrix<float> c(1, problem.units);
  GuardedMatrix<float> saved(1, kernels::lstm_saved_per_row(shape));
  GuardedScratch scratch(kernels::lstm_forward_scratch(shape));
  LstmForwardTogether together{kernel.forward_arguments(), others};
  together.lstm.sequence = sequence.matrix();
  together.lstm.last_output = output.matrix();
  together.lstm.last_h = h.matrix();
  together.lstm.last_c = c.matrix();
  together.lstm.saved = keeps ? saved.data() : nullptr;
  together.lstm.scratch = scratch.data();
  if (others.run == nullptr) {
    launch_on(backend, together.lstm);
  } else {
    launch_on(backend, together);
  }
  for (const GuardedMatrix<float>* written : {&sequence, &output, &h, &c, &saved})
    CHECK(written->guards_are_intact());
  CHECK(scratch.guards_are_intact());
  Results bits;
  for (GuardedMatrix<float>* written : {&sequence, &output, &h, &c, &saved}) {
    for (const float value : written->elements())
      bits.push_back(std::bit_cast<std::uint32_t>(value));
  }
  return bits;
}

void check_together(const LstmProblem& problem, bool keeps) {
  for (const Backend backend : tested_backends()) {
    if (runs_on_device(backend)) continue;
    INFO(kernels::name_of(backend) << ", T " << problem.steps << ", E " << problem.features
                                   << ", H " << problem.units << (keeps ? ", kept" : ""));
    const Results alone = results_of(backend, problem, keeps, {});
    for (const std::int64_t count : {1, 3, 20}) {
      INFO(count << " others");
      CHECK((results_of(backend, problem, keeps, {count, run_in_order}) == alone));
      CHECK((results_of(backend, problem, keeps, {count, run_backwards}) == alone));
      CHECK((results_of(backend, problem, keeps, {count, run_at_once}) == alone));
    }
  }
}

}  // namespace

TEST_CASE("lstm together: several cores give the bits of one") {
  RandomNumbers random(41);
  // Pieces are 24 steps, and 240 are in hand at once.
  const std::vector<LstmSize> sizes{
      {1, 0, 3, 5},    {1, 1, 3, 5},   {1, 23, 2, 8},    {1, 24, 7, 32},   {1, 25, 40, 17},
      {1, 239, 3, 32}, {1, 240, 5, 7}, {1, 241, 33, 64}, {1, 100, 150, 8}, {1, 511, 9, 16}};
  for (const LstmSize& size : sizes) {
    for (const bool masked : {false, true}) {
      LstmProblem problem = random_lstm(size, random);
      problem.go_backwards = random.below(2) == 0;
      if (masked) problem.mask = random_mask(problem, random);
      if (masked) problem.initial_h = problem.initial_c = {};
      check_together(problem, random.below(2) == 0);
    }
  }
}

TEST_CASE("lstm together: a row all of whose steps are masked stays what it was") {
  RandomNumbers random(42);
  LstmProblem problem = random_lstm({1, 60, 4, 8}, random);
  problem.mask.assign(60, 0);
  check_together(problem, false);
}

TEST_CASE("lstm together: other functions and no bias") {
  RandomNumbers random(43);
  LstmProblem problem = random_lstm({1, 70, 6, 32}, random);
  problem.activation = {kernels::ActivationKind::relu};
  problem.bias = {};
  check_together(problem, true);
}

TEST_CASE("lstm together: others are asked for a single row with enough to multiply") {
  CHECK(kernels::is_worth_other_cores({1, 200, 128, 64}));
  CHECK_FALSE(kernels::is_worth_other_cores({2, 200, 128, 64}));
  CHECK_FALSE(kernels::is_worth_other_cores({0, 200, 128, 64}));
  CHECK_FALSE(kernels::is_worth_other_cores({1, 40, 1000, 1000}));
  CHECK_FALSE(kernels::is_worth_other_cores({1, 200, 8, 16}));
}

TEST_CASE("lstm together: a row predicted alone has the bits of one among others") {
  set_random_seed(5);
  constexpr std::int64_t kSteps = 500;
  auto words = Input({.shape = {None}, .name = "words", .dtype = DType::int32});
  auto vectors = layers::Embedding({.input_dim = 50, .output_dim = 64, .mask_zero = true})(words);
  auto state = layers::LSTM({.units = 32})(vectors);
  Model model({words}, {layers::Dense({.units = 1, .name = "out"})(state)});
  model.compile({.loss = "mse"});
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < 2 * kSteps; ++i) ids.push_back(1 + i * 7 % 49);
  const TensorDict both = model.predict({{"words", Tensor::from(ids, {2, kSteps})}});
  for (std::int64_t row = 0; row < 2; ++row) {
    const std::vector<std::int32_t> own(ids.begin() + row * kSteps,
                                        ids.begin() + (row + 1) * kSteps);
    const TensorDict alone = model.predict({{"words", Tensor::from(own, {1, kSteps})}});
    CHECK(alone.at("out").data<float>()[0] == both.at("out").data<float>()[row]);
  }
}
