#include "tests/support/op_check.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <typeinfo>
#include <utility>

#include "engine/runtime/program.hpp"
#include "tests/support/guarded_graph.hpp"
#include "tests/support/op_plan.hpp"

namespace braid::testing {
namespace {

std::string place_of(const Shape& shape, std::int64_t element) {
  std::vector<Dim> at(shape.rank());
  for (std::size_t axis = shape.rank(); axis-- > 0;) {
    at[axis] = element % shape[axis];
    element /= shape[axis];
  }
  return to_string(Shape(std::move(at)));
}

// The sign of a zero does not count: 2 * x + 0 has lost it.
bool same_bits(const Array& a, const Array& b) {
  return a.shape == b.shape &&
         std::equal(a.values.begin(), a.values.end(), b.values.begin(),
                    [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

// Compares numbers with what is expected and with what another run gave, and tells of the first
// difference.
class Judge {
 public:
  explicit Judge(std::string place) : place_(std::move(place)) {}

  void compare(const Wanted& wanted, const Array& got) const {
    const Array& expected = wanted.expected;
    if (got.shape != expected.shape) {
      FAIL_CHECK(place_ << ": " << wanted.name << " has the shape " << to_string(got.shape)
                        << ", expected " << to_string(expected.shape));
      return;
    }
    const double least = (wanted.each_by_itself ? 0.03 : 1e-3) * wanted.factor;
    double scale = least;
    for (const double value : expected.values) {
      if (std::isfinite(value)) scale = std::fmax(scale, std::fabs(value));
    }
    for (std::int64_t i = 0; i < got.elements(); ++i) {
      if (wanted.each_by_itself) scale = std::fmax(least, std::fabs(expected[i]));
      const bool right =
          std::isfinite(expected[i])
              ? std::fabs(got[i] - expected[i]) <= wanted.tolerance * scale
              : (std::isnan(expected[i]) ? std::isnan(got[i]) : got[i] == expected[i]);
      if (right) continue;
      FAIL_CHECK(place_ << ": " << wanted.name << " at " << place_of(got.shape, i) << " is "
                        << got[i] << ", expected " << expected[i] << " (error "
                        << std::fabs(got[i] - expected[i]) / scale << ", allowed "
                        << wanted.tolerance << ")");
      return;
    }
  }

  void compare_bits(const std::string& name, const Array& got, const Array& other,
                    const std::string& what) const {
    if (!same_bits(got, other))
      FAIL_CHECK(place_ << ": " << name << " has other bits than " << what);
  }

 private:
  std::string place_;
};

std::vector<std::vector<std::byte>> bytes_of(const std::vector<OpInput>& feeds) {
  std::vector<std::vector<std::byte>> all;
  for (const OpInput& feed : feeds) {
    all.emplace_back(static_cast<std::size_t>(feed.array.elements()) * size_of(feed.dtype));
    const std::int64_t columns = feed.array.elements();
    store(feed.array, feed.dtype, all.back().data(), columns, columns);
  }
  return all;
}

Array read(const Workspace& workspace, const Program& program, std::size_t number) {
  const ValueInfo& info = program.output_infos()[number];
  const auto matrix = workspace.output<std::byte>(program, number);
  return load(info.shape, info.dtype, matrix.data, matrix.columns, matrix.stride);
}

Arrays run_once(Workspace& workspace, const Program& program, const Plan& plan,
                const std::vector<const std::byte*>& inputs, const RunState& state) {
  workspace.run(program, inputs, state);
  Arrays results;
  for (std::size_t w = 0; w < plan.wanted.size(); ++w) {
    results.push_back(plan.wanted[w].value ? read(workspace, program, w)
                                           : Array(plan.wanted[w].expected.shape));
  }
  return results;
}

// Where a program runs: on the host, with kernels of one kind, or on a device.
struct Place {
  Backend backend;
  Device device = Device::cpu();
  std::string name() const {
    return device == Device::cpu() ? kernels::name_of(backend) : "device " + to_string(device);
  }
};

// Hosts come first.
const std::vector<Place>& places() {
  static const std::vector<Place> all = [] {
    std::vector<Place> places;
    for (const Backend backend : tested_backends()) {
      if (backend != Backend::cuda) places.push_back({backend});
    }
    for (const Backend backend : tested_backends()) {
      if (backend == Backend::emulated) places.push_back({backend, Device::emulated()});
      if (backend == Backend::cuda) places.push_back({backend, Device::cuda()});
    }
    return places;
  }();
  return all;
}

// On the emulated device tiles and slices change nothing that the host does not show; the host cuts
// what may be cut, so that it has no gradients of whole batches.
bool is_worth_it(const Place& place, const Surroundings& around) {
  if (around.gradient_of == GradientOf::whole_batch && place.device == Device::cpu()) return false;
  return place.device != Device::emulated() ||
         (!around.between && !around.columns && !around.ballast);
}

// The weights of a graph lie on the device as long as this lives.
class WeightsOn {
 public:
  WeightsOn(Device device, const Graph& graph) {
    if (device == Device::cpu()) return;
    for (const GraphValue& value : graph.values()) {
      if (value.kind != ValueKind::weight) continue;
      before_.emplace_back(value.variable, value.variable->value);
      value.variable->value = value.variable->value.to(device);
    }
  }
  ~WeightsOn() {
    for (auto& [variable, value] : before_) variable->value = value;
  }
  WeightsOn(const WeightsOn&) = delete;
  WeightsOn& operator=(const WeightsOn&) = delete;

 private:
  std::vector<std::pair<VariablePointer, Tensor>> before_;
};

// `bare` is what the ops by themselves give, in each place.
void check_planned(const OpCheck& problem, const Surroundings& around, const Plan& plan,
                   std::vector<Arrays>& bare) {
  std::vector<ValueInfo> infos;
  for (const OpInput& feed : plan.feeds)
    infos.push_back({.shape = feed.array.shape, .dtype = feed.dtype, .batched = feed.batched});
  const Program on_host(plan.graph, plan.outputs, infos);
  const auto bytes = bytes_of(plan.feeds);
  std::vector<const std::byte*> inputs;
  for (const auto& feed : bytes) inputs.push_back(feed.data());
  if (around.ballast && on_host.batch() >= 8) REQUIRE(on_host.slices() > 1);

  for (std::size_t number = 0; number < places().size(); ++number) {
    const Place& place = places()[number];
    if (!is_worth_it(place, around)) continue;
    const bool here = place.device == Device::cpu();
    const WeightsOn weights(place.device, *plan.graph);
    const auto on_device =
        here ? nullptr
             : std::make_unique<const Program>(plan.graph, plan.outputs, infos, place.device);
    const Program& program = here ? on_host : *on_device;
    const Judge judge(problem.name + ", " + around.name + ", " + place.name());
    const auto memory = here ? std::make_unique<Workspace>(kernels::Stream{place.backend})
                             : std::make_unique<Workspace>(place.device);
    Workspace& workspace = *memory;
    const Arrays first = run_once(workspace, program, plan, inputs, problem.state);
    workspace.fill(std::byte{0xFF});
    const Arrays second = run_once(workspace, program, plan, inputs, problem.state);
    if (bare.size() == number) bare.push_back(second);
    const Arrays& others = bare[number];
    for (std::size_t w = 0; w < plan.wanted.size(); ++w) {
      const Wanted& wanted = plan.wanted[w];
      judge.compare(wanted, second[w]);
      judge.compare_bits(wanted.name, second[w], first[w], "the run before");
      if (wanted.comparable && !around.fused)
        judge.compare_bits(wanted.name, second[w].times(1 / wanted.factor), others[w],
                           "the ops by themselves give");
    }
  }
}

void check_guarded(const OpCheck& problem, const Surroundings& around, const Plan& plan,
                   const std::vector<Arrays>& bare) {
  Arrays inputs;
  std::int64_t batch = 0;
  for (const OpInput& feed : plan.feeds) {
    inputs.push_back(feed.array);
    if (feed.batched) batch = feed.array.shape[0];
  }
  const RowCut whole{1, std::max<std::int64_t>(batch, 1)};
  std::vector<GuardedRun> runs{{.cut = whole, .gap = 0}};
  if (around.gradient_of == GradientOf::whole_batch) {
    runs.push_back({.cut = whole, .gap = 3});
  } else {
    runs.push_back({.cut = {3, 5}, .gap = 3});
    if (batch <= 20) runs.push_back({.cut = {1, 1}, .gap = 1});
  }
  for (std::size_t number = 0; number < places().size(); ++number) {
    if (places()[number].device != Device::cpu()) continue;  // memory of its own has no guards
    const Backend backend = places()[number].backend;
    for (GuardedRun run : runs) {
      const std::string place = problem.name + ", " + around.name + ", node by node in " +
                                std::to_string(run.cut.slices) + " slices, tiles of " +
                                std::to_string(run.cut.tile_rows) + " rows, gaps of " +
                                std::to_string(run.gap) + ", " + kernels::name_of(backend);
      INFO(place);
      run.backend = backend;
      run.state = problem.state;
      const GuardedGraph graph(*plan.graph, inputs, plan.unnamed, run);
      const Judge judge(place);
      for (std::size_t w = 0; w < plan.wanted.size(); ++w) {
        const Wanted& wanted = plan.wanted[w];
        if (!wanted.value) continue;
        const Array got = graph.numbers(wanted.value);
        judge.compare(wanted, got);
        if (wanted.comparable && run.gap == 0 && !around.fused)
          judge.compare_bits(wanted.name, got, bare[number][w], "the planned program gives");
      }
    }
  }
}

std::string class_of(const Op& op) {
  const char* mangled = typeid(op).name();
  char* readable = abi::__cxa_demangle(mangled, nullptr, nullptr, nullptr);
  std::string name = readable != nullptr ? readable : mangled;
  std::free(readable);
  return name.substr(name.rfind(':') + 1);
}

}  // namespace

OpInput batched(std::string name, Array array) {
  // The reference sees the numbers that the ops see.
  for (double& value : array.values) value = static_cast<double>(static_cast<float>(value));
  return {std::move(name), std::move(array)};
}
OpInput weight(std::string name, Array array) {
  OpInput input = batched(std::move(name), std::move(array));
  input.batched = false;
  return input;
}
OpInput given(std::string name, Array array) {
  OpInput input = batched(std::move(name), std::move(array));
  input.differentiable = false;
  return input;
}
OpInput ids(std::string name, Array array) {
  return {std::move(name), std::move(array), DType::int32, true, false};
}
OpInput mask(std::string name, Array array) {
  return {std::move(name), std::move(array), DType::bool_, true, false};
}

void check(const OpCheck& problem) {
  INFO(problem.name);
  const Expected expected = expect(problem);
  const bool has_rows = std::any_of(problem.inputs.begin(), problem.inputs.end(),
                                    [](const OpInput& input) { return input.batched; });
  std::vector<Arrays> bare;
  for (const Surroundings& around : {
           Surroundings{.name = "alone"},
           Surroundings{.name = "without gradients", .gradients = false},
           Surroundings{.name = "between ops", .between = true},
           Surroundings{.name = "on columns", .columns = true},
           Surroundings{.name = "in slices", .ballast = true},
           Surroundings{.name = "between ops in slices", .between = true, .ballast = true},
           Surroundings{.name = "fused", .fused = true},
           Surroundings{.name = "fused, between ops", .between = true, .fused = true},
           Surroundings{.name = "fused, gradients of the whole batch",
           .fused = true,
           .gradient_of = GradientOf::whole_batch},
       }) {
    if (around.ballast && !has_rows) continue;
    const std::optional<Plan> plan = make_plan(problem, expected, around);
    if (!plan) continue;
    check_planned(problem, around, *plan, bare);
    if (around.gradients && !around.between && !around.columns && !around.ballast)
      check_guarded(problem, around, *plan, bare);
  }
}

void check(const std::vector<OpCheck>& problems) {
  for (const OpCheck& problem : problems) check(problem);
}

std::set<std::string> ops_of(const OpCheck& problem) {
  Expected expected = expect_outputs(problem);
  for (const OpInput& input : problem.inputs) expected.gradients.emplace_back(input.array.shape);
  std::set<std::string> found;
  for (const bool fused : {false, true}) {
    const Surroundings around{.name = "", .fused = fused};
    const std::optional<Plan> plan = make_plan(problem, expected, around);
    if (!plan) continue;
    for (const GraphNode& node : plan->graph->nodes()) {
      found.insert(std::string(node.op->kind()));
      found.insert(class_of(*node.op));
    }
  }
  return found;
}

OpFamily::OpFamily(std::initializer_list<Maker> list) {
  makers().insert(makers().end(), list.begin(), list.end());
}

std::vector<OpFamily::Maker>& OpFamily::makers() {
  static std::vector<Maker> all;
  return all;
}

}  // namespace braid::testing
