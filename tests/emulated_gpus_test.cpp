// The emulated device as GPUs with less shared memory for a block, fewer multiprocessors, or no
// matrix units: what launchers choose there is right, too.
#include <ostream>
#include <vector>

#include "engine/core/error.hpp"
#include "kernels/lstm.hpp"
#include "tests/simt/samples.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/lstm_cut.hpp"
#include "tests/support/on_device.hpp"
#include "tests/support/planned_lstm.hpp"
#include "tests/support/refusals.hpp"
#include "tests/support/rounded_lstm.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr int kT4 = 75;  // no matrix units, 64 KB of shared memory for a block
constexpr int kA100 = 80;
constexpr int kA10 = 86;  // 99 KB

enum class Steps { by_rows, by_teams, by_themselves };
std::ostream& operator<<(std::ostream& out, Steps steps) {
  constexpr const char* kNames[] = {"by rows", "by teams", "by themselves"};
  return out << kNames[static_cast<int>(steps)];
}
Steps steps_of(const std::vector<simt::PlannedLaunch>& launches) {
  for (const simt::PlannedLaunch& launch : launches) {
    if (launch.kernel.find("_team_kernel") != std::string::npos) return Steps::by_teams;
    if (launch.kernel.find("_step_kernel") != std::string::npos) return Steps::by_themselves;
  }
  return Steps::by_rows;
}

// Weights of a model with an LSTM after an epoch on a device.
std::vector<std::vector<float>> trained(braid::Precision precision, std::int64_t units) {
  const OnDevice here(Device::emulated());
  set_random_seed(5);
  auto ids = Input({.shape = {None}, .name = "ids", .dtype = DType::int32});
  auto h = layers::Embedding({.input_dim = 30, .output_dim = 7, .mask_zero = true})(ids);
  h = layers::LSTM({.units = units})(h);
  h = layers::Dense({.units = 9, .activation = "relu"})(h);
  Model model({ids}, {layers::Dense({.units = 1, .name = "y"})(h)});
  model.compile({.optimizer = "adam", .loss = "mse", .precision = precision});
  std::vector<std::int32_t> words;
  for (std::int32_t i = 0; i < 20 * 3; ++i) words.push_back(i * 11 % 30);
  model.fit({{"ids", Tensor::from(words, {20, 3})}}, {{"y", uniform({20, 1}, 4)}},
            {.batch_size = 12, .epochs = 1, .verbose = 0});
  std::vector<std::vector<float>> weights;
  for (const auto& [name, weight] : model.get_weights())
    weights.push_back(weight.to_vector<float>());
  return weights;
}

}  // namespace

TEST_CASE("emulated gpus: steps of an LSTM go as the memory and the blocks of a GPU allow") {
  struct Choice {
    int architecture;
    std::int64_t units;
    Steps forward;
    Steps backward;
  };
  using enum Steps;
  const std::vector<Choice> choices{
      {kT4, 64, by_rows, by_rows},
      {kT4, 65, by_teams, by_teams},
      {kT4, 128, by_teams, by_teams},
      {kT4, 192, by_teams, by_themselves},
      {kT4, 256, by_themselves, by_themselves},
      {kA10, 64, by_rows, by_rows},
      {kA10, 65, by_teams, by_teams},
      {kA10, 128, by_teams, by_teams},
      {kA10, 320, by_teams, by_teams},
      {kA10, 512, by_teams, by_themselves},
      {kA10, 768, by_themselves, by_themselves},
      {kA100, 128, by_rows, by_teams},
      {kA100, 512, by_teams, by_teams},
      {kH100, 128, by_rows, by_rows},
      {kH100, 129, by_teams, by_teams},
      {kH100, 1024, by_teams, by_themselves},
  };
  for (const Choice& choice : choices) {
    INFO(choice.architecture << ", " << choice.units << " units");
    const EmulatedGpuScope gpu(choice.architecture);
    const kernels::LstmShape shape{.rows = 256, .steps = 2, .features = 8, .units = choice.units};
    CHECK(steps_of(planned(planned_forward(shape, true))) == choice.forward);
    CHECK(steps_of(planned(planned_backward(shape, true))) == choice.backward);
  }
}

TEST_CASE("emulated gpus: an LSTM of any number of units is right on each") {
  if (gpu_backend() != Backend::emulated) return;
  RandomNumbers random(301);
  for (const int architecture : {kT4, kA10, kA100}) {
    INFO(architecture);
    const EmulatedGpuScope gpu(architecture);
    for (const LstmSize& size : {LstmSize{3, 3, 2, 64}, LstmSize{16, 2, 3, 65},
                                 LstmSize{33, 2, 1, 97}, LstmSize{5, 2, 2, 128}}) {
      LstmProblem problem = random_lstm(size, random);
      if (size.rows != 16) problem.mask = random_mask(problem, random);
      problem.go_backwards = random.below(2) == 0;
      const LstmOutputGrads grads = random_grads(problem, random);
      check_rounded_lstm(problem, kernels::Precision::float32, grads, 1);
      for (const kernels::Precision precision :
           {kernels::Precision::tf32, kernels::Precision::bfloat16}) {
        problem.precision = precision;
        check_rounded_lstm(problem, kernels::Precision::float32, grads, 1);
      }
    }
  }
}

TEST_CASE("emulated gpus: teams of few units have room for all tiles that they take in turns") {
  if (gpu_backend() != Backend::emulated) return;
  RandomNumbers random(302);
  const EmulatedGpuScope gpu(kA10);
  const LstmCutScope cut({.multiprocessors = 9});
  // Two teams going forward, three going back.
  for (const std::int64_t rows : {70, 97, 130, 300}) {
    LstmProblem problem = random_lstm({rows, 2, 1, 70}, random);
    problem.mask = random_mask(problem, random);
    check_rounded_lstm(problem, kernels::Precision::float32, random_grads(problem, random));
  }
}

TEST_CASE("emulated gpus: without matrix units a model learns in float32 at any precision") {
  const auto after = [](int architecture, braid::Precision precision, std::int64_t units) {
    const EmulatedGpuScope gpu(architecture);
    return trained(precision, units);
  };
  for (const std::int64_t units : {12, 66}) {
    INFO(units << " units");
    const auto exact = after(kT4, braid::Precision::float32, units);
    CHECK(after(kT4, braid::Precision::tf32, units) == exact);
    CHECK(after(kT4, braid::Precision::bfloat16, units) == exact);
    CHECK(after(kA10, braid::Precision::float32, units) == exact);
    CHECK(after(kA10, braid::Precision::bfloat16, units) != exact);
  }
}

TEST_CASE("emulated gpus: what a GPU lacks is refused with the place and both architectures") {
  const kernels::Stream stream{kernels::Backend::emulated};
  alignas(16) float a[16 * 8] = {};
  alignas(16) float b[8 * 8] = {};
  alignas(16) float out[16 * 8] = {};
  const auto multiply = [&] { samples::emulated::product_tf32(stream, a, b, out, 16, 8, 8); };
  {
    const EmulatedGpuScope gpu(kT4);
    check_refused<DeviceError>(multiply,
                               {"product_tf32_kernel", "samples.cu", "a product of matrix units",
                                "from architecture 80 on", "this one is 75"});
  }
  const EmulatedGpuScope gpu(kA10);
  CHECK_NOTHROW(multiply());
}

TEST_CASE("emulated gpus: others than those with figures are refused, with the known ones") {
  check_refused<RangeError>([] { simt::set_emulated_gpu(70); },
                            {"architecture 70", "75 80 86 89 90 100 120"});
  CHECK(simt::emulated_gpu().architecture >= kT4);
}
