#include <algorithm>
#include <atomic>
#include <map>

#include "engine/core/device_access.hpp"
#include "engine/core/error.hpp"
#include "engine/runtime/constants.hpp"
#include "engine/runtime/launches.hpp"
#include "engine/runtime/parallel.hpp"
#include "engine/runtime/stages.hpp"
#include "engine/runtime/value_memory.hpp"
#include "kernels/row_program.hpp"

namespace braid {

// Builds one Program, step by step; thrown away afterwards.
class Planner {
 public:
  Planner(Program& program, const Graph& graph, const std::vector<Value>& outputs,
          const std::vector<Value>& left_in_slices)
      : program_(program),
        facts_{.graph = graph, .on_device = program.device_ != Device::cpu()},
        outputs_(outputs),
        left_in_slices_(left_in_slices) {}

  void plan(const std::vector<ValueInfo>& inputs) {
    infer(inputs);
    fold();
    if (facts_.on_device) find_row_programs();
    facts_.stage_of_node = assign_stages(graph(), outputs_, folded_nodes_, facts_.joinable);
    if (facts_.on_device) find_launches();
    find_uses();
    facts_.storage = share_storage(graph(), facts_.infos, facts_.stage_of_node, facts_.uses);
    find_sums_left();
    place_externals();
    memory_ = find_lives(facts_);
    cut();
    lay_out_memory();
    bind();
  }

 private:
  const Graph& graph() const { return facts_.graph; }

  void infer(const std::vector<ValueInfo>& inputs) {
    facts_.infos.resize(graph().values().size());
    std::size_t next = 0;
    for (std::size_t v = 0; v < facts_.infos.size(); ++v) {
      const GraphValue& value = graph().values()[v];
      facts_.infos[v] = value.kind == ValueKind::input ? inputs[next++] : value.info;
      if (value.kind == ValueKind::input && facts_.infos[v].batched)
        program_.batch_ = facts_.infos[v].shape[0];
    }
    // A fused result may belong to a later node than the one that made it first, so take the nodes
    // in order.
    for (const GraphNode& node : graph().nodes()) {
      const std::vector<ValueInfo> out = inferred(node, facts_.infos_of(node.inputs));
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        if (node.outputs[i]) facts_.infos[index(node.outputs[i])] = out[i];
      }
    }
  }

  static std::vector<ValueInfo> inferred(const GraphNode& node, const std::vector<ValueInfo>& in) {
    try {
      return node.op->infer(in);
    } catch (const ShapeError& error) {
      const std::string who = node.layer.empty() ? std::string(node.op->kind()) : node.layer;
      throw ShapeError(who + ": " + error.what());
    }
  }

  void fold() {
    folded_ = fold_constants(graph(), facts_.infos, program_.batch_);
    for (const GraphNode& node : graph().nodes()) {
      folded_nodes_.push_back(!node.outputs.empty() && node.outputs.front() &&
                              folded_.contains(node.outputs.front().id));
    }
  }

  void find_row_programs() {
    std::int64_t summed = 0;
    for (const GraphNode& node : graph().nodes()) {
      const std::vector<ValueInfo> inputs = facts_.infos_of(node.inputs);
      const bool has_rows = std::any_of(inputs.begin(), inputs.end(),
                                        [](const ValueInfo& input) { return input.batched; });
      if (!has_rows || !node.op->joins_row_programs(inputs)) continue;
      for (const ValueInfo& output : facts_.infos_of(node.outputs))
        summed += output.present && !output.batched ? output.shape.elements() : 0;
    }
    program_.slices_ = slices_on_device(program_.batch_, summed);
    facts_.joinable = find_joinable(graph(), facts_.infos, program_.slices_);
    program_.tile_rows_ = (program_.batch_ + program_.slices_ - 1) / program_.slices_;
    facts_.rows_of_block = program_.tile_rows_;
    facts_.bytes_of_block =
        access_to(program_.device_).shared_bytes_of_block() - kernels::kSharedOfRowProgram;
  }

  void find_launches() {
    launches_ =
        group_launches(graph(), facts_.stage_of_node, facts_.joinable, program_.slices_ > 1);
    facts_.launch_of_node.assign(graph().nodes().size(), 0);
    for (std::size_t launch = 0; launch < launches_.size(); ++launch) {
      for (const int n : launches_[launch].nodes)
        facts_.launch_of_node[static_cast<std::size_t>(n)] = static_cast<int>(launch);
    }
  }

  void find_uses() {
    facts_.uses.readers.assign(facts_.infos.size(), {});
    for (std::size_t n = 0; n < graph().nodes().size(); ++n) {
      if (facts_.stage_of_node[n] == kDeadStage) continue;
      for (Value input : graph().nodes()[n].values_read())
        facts_.uses.readers[index(input)].push_back(static_cast<int>(n));
    }
    facts_.uses.is_output.assign(facts_.infos.size(), false);
    for (Value output : outputs_) {
      if (output) facts_.uses.is_output[index(output)] = true;
    }
    for (std::size_t v = 0; v < facts_.infos.size(); ++v)
      facts_.uses.producer.push_back(is_folded(v) ? -1 : graph().values()[v].producer);
  }

  // Launches of the whole batch that leave sums to the caller, which reads them anyway, save a
  // launch that adds them up. Each has memory of its own for as long as the caller does.
  void find_sums_left() {
    constexpr std::int64_t kMostBytes = std::int64_t{32} << 20U;
    facts_.sums_left.assign(facts_.infos.size(), 1);
    if (!facts_.on_device) return;
    std::int64_t bytes = 0;
    for (std::size_t n = 0; n < graph().nodes().size(); ++n) {
      if (facts_.stage_of_node[n] == kDeadStage || facts_.joinable[n]) continue;
      const GraphNode& node = graph().nodes()[n];
      const std::int64_t sums =
          node.op->sums_on_device(facts_.infos_of(node.inputs), program_.batch_);
      std::vector<std::size_t> left;
      for (const Value output : node.outputs) {
        if (output && facts_.is_alive(index(output))) left.push_back(index(output));
      }
      if (sums == 1 || !std::ranges::all_of(left, [&](auto v) { return is_left_to_caller(v); }))
        continue;
      std::int64_t more = 0;
      for (const std::size_t v : left) more += slice_bytes(facts_, v) * sums;
      if (bytes + more > kMostBytes) continue;
      bytes += more;
      for (const std::size_t v : left) facts_.sums_left[v] = sums;
    }
  }

  bool is_folded(std::size_t value) const { return folded_.contains(static_cast<int>(value)); }

  void place_externals() {
    external_of_.assign(facts_.infos.size(), -1);
    for (std::size_t v = 0; v < facts_.infos.size(); ++v) {
      const GraphValue& value = graph().values()[v];
      if (value.kind == ValueKind::result && !is_folded(v)) continue;
      const bool used = facts_.is_alive(v);
      const auto next = static_cast<int>(program_.externals_.size());
      if (value.kind == ValueKind::input) program_.input_externals_.push_back(used ? next : -1);
      if (!used) continue;
      external_of_[v] = next;
      Program::External external{.value = Value{static_cast<int>(v)}, .name = value.name};
      external.bytes = facts_.row_bytes(v) * (facts_.infos[v].batched ? program_.batch_ : 1);
      if (value.kind == ValueKind::weight) external.fixed = weight_of(value);
      if (value.kind == ValueKind::constant || is_folded(v)) {
        const Tensor& constant = is_folded(v) ? folded_.at(static_cast<int>(v)) : value.constant;
        program_.constants_.push_back(constant.to(program_.device_));
        external.fixed = program_.constants_.back().raw();
      }
      program_.externals_.push_back(std::move(external));
    }
  }

  const std::byte* weight_of(const GraphValue& value) const {
    const Tensor& weight = value.variable->value;
    if (weight.device() != program_.device_) {
      throw DeviceError("the weight \"" + value.name + "\" is on device \"" +
                        to_string(weight.device()) + "\"; the program runs on \"" +
                        to_string(program_.device_) + "\"");
    }
    return weight.raw();
  }

  void cut() {
    if (facts_.on_device) return;  // find_row_programs
    double operations = 0;
    std::int64_t bytes_per_row = 0;
    std::int64_t summed = 0;
    for (std::size_t n = 0; n < graph().nodes().size(); ++n) {
      const int stage = facts_.stage_of_node[n];
      if (stage == kDeadStage || stage % 2 != 0) continue;
      const GraphNode& node = graph().nodes()[n];
      operations +=
          node.op->operations(facts_.infos_of(node.inputs), facts_.infos_of(node.outputs));
    }
    for (std::size_t v = 0; v < facts_.infos.size(); ++v) {
      if (memory_[v].kind == ValueMemory::Kind::tile) bytes_per_row += facts_.row_bytes(v);
      if (memory_[v].kind == ValueMemory::Kind::slice_sum)
        summed += facts_.infos[v].shape.elements();
    }
    const RowCut cut = cut_rows(program_.batch_, operations, bytes_per_row, summed, thread_count());
    program_.slices_ = cut.slices;
    program_.tile_rows_ = cut.tile_rows;
  }

  void lay_out_memory() {
    const RowCut cut{program_.slices_, program_.tile_rows_};
    MemoryLayout layout = lay_out(facts_, program_.batch_, cut, memory_);
    program_.tile_bytes_ = layout.tile_bytes;
    program_.arena_bytes_ = layout.arena_bytes;
    program_.placements_ = std::move(layout.placements);
  }

  Operand operand(Value value) const {
    Operand result;
    if (!value) return result;
    const auto v = index(value);
    const auto root = static_cast<std::size_t>(facts_.storage[v].root);
    const Extent extent = extent_of(facts_.infos[v]);
    const auto element = static_cast<std::int64_t>(size_of(facts_.infos[v].dtype));
    result.shape = facts_.infos[v].shape;
    result.batched = facts_.infos[v].batched;
    result.rows = extent.rows;
    result.columns = extent.columns;
    result.stride = facts_.storage[v].stride;
    result.offset = memory_[root].offset + facts_.storage[v].first * element;
    result.batch_row_bytes = result.batched ? facts_.row_bytes(root) : 0;
    switch (memory_[root].kind) {
      using enum ValueMemory::Kind;
      case none: break;
      case external: result.base = Program::kFirstExternal + external_of_[root]; break;
      case tile:
        result.base = Program::kTile;
        result.tile_local = true;
        break;
      case arena:
      case slice_sum: result.base = Program::kArena; break;
    }
    return result;
  }

  void bind() {
    if (facts_.on_device) {
      bind_launches();
    } else {
      bind_stages();
    }
    for (Value output : outputs_) {
      program_.outputs_.push_back(operand(output));
      program_.output_infos_.push_back(output ? facts_.infos[index(output)] : kAbsent);
      if (output && stays_in_slices(index(output))) {
        program_.outputs_.back().slices = program_.slices_;
        program_.outputs_.back().slice_bytes = slice_bytes(facts_, index(output));
      }
      if (output && facts_.sums_left[index(output)] > 1)
        leave_sums(index(output), program_.outputs_.back());
      if (facts_.on_device) program_.output_stages_.push_back(output ? stage_of(index(output)) : 0);
    }
  }

  // The caller adds it up, and nobody needs it before.
  bool is_left_to_caller(std::size_t value) const {
    return facts_.uses.readers[value].empty() &&
           std::find(left_in_slices_.begin(), left_in_slices_.end(),
                     Value{static_cast<int>(value)}) != left_in_slices_.end();
  }
  bool stays_in_slices(std::size_t value) const {
    return program_.slices_ > 1 && facts_.is_summed_by_slices(value) && is_left_to_caller(value);
  }
  void leave_sums(std::size_t value, Operand& result) const {
    result.slices = facts_.sums_left[value];
    result.slice_bytes = slice_bytes(facts_, value);
  }

  // The stage that makes a value, or adds up its slices.
  std::size_t stage_of(std::size_t value) const {
    const int made_by = facts_.uses.producer[value];
    if (made_by < 0) return 0;
    auto launch = static_cast<std::size_t>(facts_.time_of(made_by));
    if (facts_.is_summed_by_slices(value) && !stays_in_slices(value)) {
      const auto adds = [](const LaunchGroup& group) { return group.adds_slices; };
      const auto found = std::find_if(launches_.begin() + static_cast<std::ptrdiff_t>(launch),
                                      launches_.end(), adds);
      if (found != launches_.end()) launch = static_cast<std::size_t>(found - launches_.begin());
    }
    return stage_of_launch_[launch];
  }

  void bind_launches() {
    std::vector<bool> nothing;
    for (const GraphNode& node : graph().nodes()) nothing.push_back(launches_nothing(node));
    std::vector<Program::SliceSum> sums;
    for (const LaunchGroup& group : launches_) {
      Program::Stage stage{.rows = group.stage % 2 == 0, .joined = group.joined};
      if (group.adds_slices) {
        // One block adds up small ones on the way; large ones take all of the device.
        constexpr std::int64_t kMostAlone = 4096;
        for (const Program::SliceSum& sum : sums) {
          if (sum.count <= kMostAlone) {
            stage.sums.push_back(sum);
          } else {
            program_.stages_.push_back({.sums = {sum}});
          }
        }
        sums.clear();
      }
      const std::vector<int> waves = waves_of(graph(), group.nodes, nothing);
      for (std::size_t i = 0; i < group.nodes.size(); ++i)
        bind_node(graph().nodes()[static_cast<std::size_t>(group.nodes[i])], stage, waves[i]);
      if (stage.rows) {
        sums.insert(sums.end(), stage.sums.begin(), stage.sums.end());
        stage.sums.clear();
      }
      if (!stage.ops.empty() || !stage.sums.empty()) program_.stages_.push_back(std::move(stage));
      // What only shares the memory of something earlier has no stage.
      stage_of_launch_.push_back(std::max<std::size_t>(program_.stages_.size(), 1) - 1);
    }
  }

  void bind_stages() {
    int first = INT32_MAX;
    int last = INT32_MIN;
    for (int stage : facts_.stage_of_node) {
      if (stage == kDeadStage) continue;
      first = std::min(first, stage);
      last = std::max(last, stage);
    }
    for (int number = first; number <= last; ++number) {
      Program::Stage stage{.rows = number % 2 == 0};
      for (std::size_t n = 0; n < graph().nodes().size(); ++n) {
        if (facts_.stage_of_node[n] == number) bind_node(graph().nodes()[n], stage);
      }
      if (!stage.ops.empty()) program_.stages_.push_back(std::move(stage));
    }
  }

  // Its value merely shares its input's storage.
  bool launches_nothing(const GraphNode& node) const {
    return node.op->alias().kind != Alias::Kind::none &&
           facts_.storage[index(node.outputs[0])].shared;
  }

  void bind_node(const GraphNode& node, Program::Stage& stage, int wave = 0) {
    if (launches_nothing(node)) return;
    Program::BoundOp bound{
        .op = node.op, .inputs = {}, .outputs = {}, .wave = wave, .layer = node.layer};
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
      bound.inputs.push_back(operand(node.inputs[i]));
    bool leaves_sums = false;
    for (Value output : node.outputs) {
      Operand result = output && facts_.is_alive(index(output)) ? operand(output) : Operand{};
      if (output) result.shape = facts_.infos[index(output)].shape;
      if (result.base >= 0 && facts_.is_summed_by_slices(index(output))) {
        const auto v = index(output);
        result.slice_bytes = slice_bytes(facts_, v);
        if (!stays_in_slices(v)) {
          stage.sums.push_back({.offset = result.offset,
                                .stride = result.slice_bytes,
                                .count = facts_.infos[v].shape.elements()});
        }
      }
      if (result.base >= 0 && facts_.sums_left[index(output)] > 1) {
        leave_sums(index(output), result);
        leaves_sums = true;
      }
      bound.outputs.push_back(std::move(result));
    }
    const std::vector<ValueInfo> inputs = facts_.infos_of(node.inputs);
    if (!stage.rows && !facts_.on_device) bound.parts = node.op->parts(inputs);
    // Row programs have no scratch memory.
    const std::int64_t rows =
        stage.rows && !facts_.on_device ? program_.tile_rows_ : program_.batch_;
    if (!stage.joined) {
      if (!leaves_sums) want_scratch(node, node.op->scratch_bytes(inputs, rows));
      if (facts_.on_device)
        want_scratch(node, node.op->library_bytes(inputs, rows, program_.precision_));
    }
    stage.ops.push_back(std::move(bound));
  }

  void want_scratch(const GraphNode& node, std::int64_t bytes) {
    if (bytes <= program_.scratch_bytes_) return;
    program_.scratch_bytes_ = bytes;
    program_.scratch_node_ = &node;
  }

  Program& program_;
  GraphFacts facts_;
  const std::vector<Value>& outputs_;
  const std::vector<Value>& left_in_slices_;
  std::map<int, Tensor> folded_;
  std::vector<bool> folded_nodes_;
  std::vector<LaunchGroup> launches_;  // on a device
  std::vector<std::size_t> stage_of_launch_;
  std::vector<int> external_of_;
  std::vector<ValueMemory> memory_;
};

Program::Program(std::shared_ptr<const Graph> graph, const std::vector<Value>& outputs,
                 const std::vector<ValueInfo>& inputs, Device device, kernels::Precision precision,
                 const std::vector<Value>& left_in_slices)
    : graph_(std::move(graph)), device_(device), precision_(precision) {
  static std::atomic<std::uint64_t> programs{0};
  id_ = ++programs;
  Planner(*this, *graph_, outputs, left_in_slices).plan(inputs);
}

}  // namespace braid
