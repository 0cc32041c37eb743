// What a time step of the LSTM's persistent kernels waits for, measured on the emulated device. The
// heads of the kernels' sources and the table of bench/results say the same.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/simt/launch_records.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/emulated_gpu_scope.hpp"
#include "tests/support/kernel_table.hpp"
#include "tests/support/lstm_cut.hpp"
#include "tests/support/lstm_kernel.hpp"
#include "tests/support/watch_scope.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::LstmShape;

namespace {

constexpr std::int64_t kSteps = 8;
constexpr std::int64_t kFeatures = 3;
const kernels::Stream kStream{Backend::emulated};

// What a kernel gave, every number of it; one that is missing equals nothing.
using Results = std::vector<float>;

// Makes useless what a kernel reads from global memory for one of its steps, the first being 0.
using Spoil = std::function<void(std::int64_t step)>;
struct Input {
  Spoil spoil;
  bool is_place = false;  // read only where there is a mask
};

// Rows of one block, with everything that an LSTM can be given; a mask that calls every step valid,
// so that places are looked up.
class Block {
 public:
  // by_ids: inputs are rows of a table, which has few.
  Block(std::int64_t rows, std::int64_t units, std::int64_t steps, bool by_ids = false,
        Precision precision = Precision::float32)
      : shape_{rows, steps, kFeatures, units},
        by_ids_(by_ids),
        ids_(Numbers(static_cast<std::size_t>(rows * steps), 1), steps),
        table_(random_of({2, 1, 0, kFeatures}, 55), kFeatures),
        problem_(problem_of(shape_, precision)),
        kernel_(Backend::emulated, problem_),
        grads_(random_of(shape_, 54), units),
        state_grads_(Numbers(static_cast<std::size_t>(rows * units), 0.5), units),
        kept_(static_cast<std::size_t>(rows * kernels::lstm_saved_per_row(shape_))) {
    static_cast<void>(forward());
    kept_ = saved_;
  }

  Results forward() {
    const auto [rows, steps, features, units] = shape_;
    saved_.assign(kept_.size(), 0.0F);
    GuardedMatrix<float> sequence(rows * steps, units);
    GuardedMatrix<float> states(2 * rows, units);
    GuardedScratch scratch(kernels::lstm_forward_scratch(shape_));
    kernels::LstmForward arguments = kernel_.forward_arguments();
    if (by_ids_) {
      arguments.in = {};
      arguments.ids = ids_.matrix();
      arguments.table = table_.matrix();
      REQUIRE(kernels::lstm_takes_table(arguments));
      float* const z = kernels::floats_at(scratch.data(), kernels::lstm_forward_places(shape_).z);
      z_rows_ = reinterpret_cast<std::int32_t*>(z + (table_.matrix().rows + 1) * 4 * units);
    }
    arguments.sequence = sequence.matrix();
    arguments.last_h = states.matrix();
    arguments.last_h.rows = rows;
    arguments.last_c = states.matrix();
    kernels::skip_rows(rows, arguments.last_c);
    arguments.saved = saved_.data();
    arguments.scratch = scratch.data();
    kernels::launch(kStream, arguments);
    Results results(saved_.begin(), saved_.begin() + 6 * rows * steps * units);
    for (GuardedMatrix<float>* written : {&sequence, &states}) {
      const std::vector<float> elements = written->elements();
      results.insert(results.end(), elements.begin(), elements.end());
    }
    return results;
  }

  Results backward() {
    const auto [rows, steps, features, units] = shape_;
    saved_ = kept_;
    arriving_ = grads_.elements();
    GuardedMatrix<float> initial(2 * rows, units);
    GuardedScratch scratch(kernels::lstm_backward_scratch(shape_));
    kernels::LstmBackward arguments = kernel_.backward_arguments();
    arguments.sequence_grad = {arriving_.data(), rows * steps, units, units};
    arguments.last_h_grad = state_grads_.matrix();
    arguments.last_c_grad = state_grads_.matrix();
    arguments.initial_h_grad = initial.matrix();
    arguments.initial_h_grad.rows = rows;
    arguments.initial_c_grad = initial.matrix();
    kernels::skip_rows(rows, arguments.initial_c_grad);
    arguments.saved = saved_.data();
    arguments.scratch = scratch.data();
    kernels::launch(kStream, arguments);
    const float* z_grad =
        kernels::floats_at(scratch.data(), kernels::lstm_backward_places(shape_).z_grad);
    Results results(z_grad, z_grad + rows * steps * 4 * units);
    const std::vector<float> elements = initial.elements();
    results.insert(results.end(), elements.begin(), elements.end());
    return results;
  }

  std::vector<Input> forward_inputs() {
    return {
        {[this](std::int64_t step) { spoil(kept().gates, 4 * shape_.units, step); }},
        // A step writes its output until the place of the token behind it.
        {[this](std::int64_t step) { spoil_place(step + 1); }, true},
    };
  }
  // Which row of the table's pre-activations a token has: then that of an id outside of it.
  Input named_input() {
    return {[this](std::int64_t step) {
      if (step >= shape_.steps) return;
      for (std::int64_t row = 0; row < shape_.rows; ++row)
        z_rows_[row * shape_.steps + step] = static_cast<std::int32_t>(table_.matrix().rows);
    }};
  }
  std::vector<Input> backward_inputs() {
    const auto token = [this](std::int64_t step) { return shape_.steps - 1 - step; };
    return {
        {[=, this](std::int64_t step) { spoil(kept().gates, 4 * shape_.units, token(step)); }},
        {[=, this](std::int64_t step) { spoil(kept().c, shape_.units, token(step) - 1); }},
        {[=, this](std::int64_t step) { spoil(arriving_.data(), shape_.units, token(step)); }},
        {[=, this](std::int64_t step) { spoil_place(token(step)); }, true},
    };
  }

 private:
  static LstmProblem problem_of(const LstmShape& shape, Precision precision) {
    RandomNumbers random(53);
    LstmProblem problem =
        random_lstm({shape.rows, shape.steps, shape.features, shape.units}, random);
    problem.mask.assign(static_cast<std::size_t>(shape.rows * shape.steps), 1.0);
    problem.precision = precision;
    return problem;
  }
  static Numbers random_of(const LstmShape& shape, std::uint64_t seed) {
    RandomNumbers random(seed);
    return random.floats(shape.rows * shape.steps * shape.units, -1, 1);
  }
  kernels::LstmKept kept() { return kernels::lstm_kept(saved_.data(), shape_); }

  // Numbers of a token of every row, [tokens, count].
  void spoil(float* numbers, std::int64_t count, std::int64_t token) {
    if (token < 0 || token >= shape_.steps) return;
    for (std::int64_t row = 0; row < shape_.rows; ++row)
      std::fill_n(numbers + (row * shape_.steps + token) * count, count, NAN);
  }
  // The place of a token is now that of the row's first.
  void spoil_place(std::int64_t token) {
    if (token < 1 || token >= shape_.steps) return;
    const kernels::LstmTokens tokens = kernels::lstm_tokens(shape_, true, false, kept().tokens);
    for (std::int64_t row = 0; row < shape_.rows; ++row) {
      std::uint32_t* const positions = tokens.positions + row * shape_.steps;
      positions[token] = positions[0];
    }
  }

  LstmShape shape_;
  bool by_ids_;
  GuardedMatrix<std::int32_t> ids_;
  GuardedMatrix<float> table_;
  std::int32_t* z_rows_ = nullptr;
  LstmProblem problem_;
  LstmKernel kernel_;
  GuardedMatrix<float> grads_;
  GuardedMatrix<float> state_grads_;
  std::vector<float> kept_;   // by a forward pass
  std::vector<float> saved_;  // of the launch that runs
  std::vector<float> arriving_;
};

struct Counts {
  std::string kernel;  // "lstm_forward_kernel<64, 1, true>"
  std::int64_t barriers = 0;
  std::int64_t shuffles = 0;
  std::int64_t threads = 0;
};

// Of the only kernel with that name that `work` launches.
Counts counted(const std::string& function, const std::function<void()>& work) {
  auto before = simt::launch_records();
  work();
  Counts counts;
  for (const auto& [name, record] : simt::launch_records()) {
    const std::string kernel = short_kernel_name(name);
    if (kernel.rfind(function + "<", 0) != 0 || record.launches == before[name].launches) continue;
    REQUIRE(counts.kernel.empty());
    counts = {kernel, record.barriers - before[name].barriers,
              record.shuffles - before[name].shuffles, record.threads};
  }
  REQUIRE_FALSE(counts.kernel.empty());
  return counts;
}

struct StepCost {
  std::string kernel;
  std::int64_t barriers = 0;
  std::int64_t shuffles = 0;  // of a warp
  std::int64_t waits = 0;     // for so many of its inputs, which it has to ask for itself
  // Inputs and places are asked for so many steps before theirs, at the least.
  std::int64_t inputs_ahead = kSteps;
  std::int64_t places_ahead = kSteps;
};

using Pass = Results (Block::*)();

// By how many steps what a step reads is asked for before it: at the barrier of a step spoil what
// the steps behind it read, and see how far behind it must be to change a result.
std::int64_t steps_ahead(Block& block, Pass pass, const std::string& function,
                         std::int64_t barriers_of_step, std::int64_t barriers_before,
                         const Spoil& spoil) {
  const Results expected = (block.*pass)();
  for (std::int64_t ahead = 1; ahead < kSteps; ++ahead) {
    const WatchScope scope([&](std::string_view name, std::int64_t passed) {
      const std::string kernel = short_kernel_name(std::string(name));
      if (kernel.rfind(function + "<", 0) != 0) return;
      const std::int64_t of_steps = passed + 1 - barriers_before;
      if (of_steps < 0 || of_steps % barriers_of_step != 0) return;
      spoil(of_steps / barriers_of_step - 1 + ahead);
    });
    if ((block.*pass)() != expected) return ahead - 1;
  }
  return kSteps;
}

StepCost cost_of(bool forward, std::int64_t units, std::int64_t rows, Precision precision) {
  const std::string function = std::string(forward ? "lstm_forward" : "lstm_backward") +
                               (precision == Precision::float32 ? "_kernel" : "_matrix_kernel");
  const Pass pass = forward ? &Block::forward : &Block::backward;
  INFO(function << ", " << units << " units, " << rows << " rows");
  // One multiprocessor has one block for all of them.
  const LstmCutScope one_block({.multiprocessors = 1});
  Block block(rows, units, kSteps, false, precision);
  Block longer(rows, units, 2 * kSteps, false, precision);
  const Counts some = counted(function, [&] { (block.*pass)(); });
  const Counts more = counted(function, [&] { (longer.*pass)(); });
  StepCost cost{.kernel = some.kernel};
  REQUIRE((more.barriers - some.barriers) % kSteps == 0);
  cost.barriers = (more.barriers - some.barriers) / kSteps;
  const std::int64_t of_warps = kSteps * more.threads / simt::kWarpLanes;
  REQUIRE((more.shuffles - some.shuffles) % of_warps == 0);
  cost.shuffles = (more.shuffles - some.shuffles) / of_warps;
  for (const auto& [spoil, is_place] : forward ? block.forward_inputs() : block.backward_inputs()) {
    const std::int64_t ahead = steps_ahead(block, pass, function, cost.barriers,
                                           some.barriers - kSteps * cost.barriers, spoil);
    REQUIRE(ahead < kSteps);  // else nobody reads what is spoiled
    cost.waits += ahead == 0 ? 1 : 0;
    std::int64_t& least = is_place ? cost.places_ahead : cost.inputs_ahead;
    least = std::min(least, ahead);
  }
  return cost;
}

const std::vector<StepCost>& costs() {
  static const std::vector<StepCost> all = [] {
    std::vector<StepCost> costs;
    for (const bool forward : {true, false}) {
      for (const std::int64_t units : {32, 64, 128}) {
        for (const std::int64_t rows : {1, 2, 4})
          costs.push_back(cost_of(forward, units, rows, Precision::float32));
      }
      for (const std::int64_t units : {32, 64})
        costs.push_back(cost_of(forward, units, 8, Precision::tf32));
    }
    return costs;
  }();
  return all;
}

std::vector<std::string> table_rows() {
  std::vector<std::string> rows;
  for (const StepCost& cost : costs()) {
    rows.push_back(
        table_row({cost.kernel, std::to_string(cost.barriers), std::to_string(cost.shuffles),
                   std::to_string(cost.waits), std::to_string(cost.inputs_ahead),
                   std::to_string(cost.places_ahead)}));
  }
  return rows;
}

}  // namespace

TEST_CASE("lstm on a gpu: a step passes one barrier, exchanges little and waits for no memory") {
  const EmulatedGpuScope gpu(kH100);
  for (const StepCost& cost : costs()) {
    INFO(cost.kernel);
    CHECK(cost.barriers == 1);
    CHECK(cost.shuffles <= 15);
    CHECK(cost.waits == 0);
    const bool is_forward = cost.kernel.find("forward") != std::string::npos;
    const bool is_largest = cost.kernel.find("<128") != std::string::npos;
    const bool on_matrix_units = cost.kernel.find("matrix") != std::string::npos;
    CHECK(cost.inputs_ahead == (on_matrix_units ? 2 : is_largest ? (is_forward ? 2 : 1) : 3));
    if (on_matrix_units) CHECK(cost.shuffles == 0);
    CHECK(cost.places_ahead >= 1);
  }
  write_section("lstm_steps.md",
                {"kernel", "barriers", "exchanges of a warp", "loads waited for", "inputs ahead",
                 "places ahead"},
                table_rows());
}

TEST_CASE("lstm on a gpu: a step looks up no row of a table for itself or for the next one") {
  const EmulatedGpuScope gpu(kH100);
  for (const std::int64_t units : {32, 64, 128}) {
    for (const std::int64_t rows : {1, 2, 4}) {
      INFO(units << " units, " << rows << " rows");
      const LstmCutScope one_block({.multiprocessors = 1});
      Block block(rows, units, kSteps, true);
      const std::int64_t ahead = steps_ahead(block, &Block::forward, "lstm_forward_kernel", 1, 1,
                                             block.named_input().spoil);
      REQUIRE(ahead < kSteps);  // else nobody reads what is spoiled
      CHECK(ahead >= (units == 128 ? 3 : 4));
    }
  }
  for (const std::int64_t units : {32, 64}) {
    const LstmCutScope one_block({.multiprocessors = 1});
    Block block(8, units, kSteps, true, Precision::tf32);
    const std::int64_t ahead = steps_ahead(block, &Block::forward, "lstm_forward_matrix_kernel", 1,
                                           1, block.named_input().spoil);
    REQUIRE(ahead < kSteps);
    CHECK(ahead >= 3);
  }
}

TEST_CASE("kernel table: steps of the LSTM wait for what it names") {
  const EmulatedGpuScope gpu(kH100);
  const auto committed = committed_rows("Steps of the LSTM");
  if (!committed) return;
  INFO("`make kernels` writes the table anew");
  CHECK(*committed == table_rows());
}
