#include "engine/runtime/planner.hpp"

#include <algorithm>
#include <atomic>
#include <map>

#include "engine/core/error.hpp"
#include "engine/runtime/constants.hpp"
#include "engine/runtime/launches.hpp"
#include "engine/runtime/memory_plan.hpp"
#include "engine/runtime/storage.hpp"

namespace braid {
namespace {

std::size_t index(Value value) { return static_cast<std::size_t>(value.id); }

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
}

}  // namespace

// Builds one Program, step by step; thrown away afterwards.
class Planner {
 public:
  Planner(Program& program, const Graph& graph, const std::vector<Value>& outputs,
          const std::vector<Value>& left_in_slices)
      : program_(program), graph_(graph), outputs_(outputs), left_in_slices_(left_in_slices) {}

  void plan(const std::vector<ValueInfo>& inputs) {
    infer(inputs);
    fold();
    if (on_device()) find_row_programs();
    stage_of_node_ = assign_stages(graph_, outputs_, folded_nodes_, joinable_);
    if (on_device()) find_launches();
    find_uses();
    storage_ = share_storage(graph_, infos_, stage_of_node_, uses_);
    place_externals();
    classify();
    cut();
    place();
    bind();
  }

 private:
  enum class Class { none, external, tile, arena, slice_sum };

  void infer(const std::vector<ValueInfo>& inputs) {
    infos_.resize(graph_.values().size());
    std::size_t next = 0;
    for (std::size_t v = 0; v < infos_.size(); ++v) {
      const GraphValue& value = graph_.values()[v];
      infos_[v] = value.kind == ValueKind::input ? inputs[next++] : value.info;
      if (value.kind == ValueKind::input && infos_[v].batched) program_.batch_ = infos_[v].shape[0];
    }
    // A fused result may belong to a later node than the one that made it first, so take the nodes
    // in order.
    for (const GraphNode& node : graph_.nodes()) {
      std::vector<ValueInfo> in;
      for (Value input : node.inputs) in.push_back(input ? infos_[index(input)] : kAbsent);
      const std::vector<ValueInfo> out = inferred(node, in);
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        if (node.outputs[i]) infos_[index(node.outputs[i])] = out[i];
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
    folded_ = fold_constants(graph_, infos_, program_.batch_);
    for (const GraphNode& node : graph_.nodes()) {
      folded_nodes_.push_back(!node.outputs.empty() && node.outputs.front() &&
                              folded_.contains(node.outputs.front().id));
    }
  }

  void find_row_programs() {
    std::int64_t summed = 0;
    for (const GraphNode& node : graph_.nodes()) {
      const std::vector<ValueInfo> inputs = infos_of(node.inputs);
      const bool has_rows = std::any_of(inputs.begin(), inputs.end(),
                                        [](const ValueInfo& input) { return input.batched; });
      if (!has_rows || !node.op->joins_row_programs(inputs)) continue;
      for (const ValueInfo& output : infos_of(node.outputs))
        summed += output.present && !output.batched ? output.shape.elements() : 0;
    }
    program_.slices_ = slices_on_device(program_.batch_, summed);
    joinable_ = find_joinable(graph_, infos_, program_.slices_);
  }

  void find_launches() {
    launches_ = group_launches(graph_, stage_of_node_, joinable_, program_.slices_ > 1);
    launch_of_node_.assign(graph_.nodes().size(), 0);
    for (std::size_t launch = 0; launch < launches_.size(); ++launch) {
      for (const int n : launches_[launch].nodes)
        launch_of_node_[static_cast<std::size_t>(n)] = static_cast<int>(launch);
    }
  }

  void find_uses() {
    uses_.readers.assign(infos_.size(), {});
    for (std::size_t n = 0; n < graph_.nodes().size(); ++n) {
      if (stage_of_node_[n] == kDeadStage) continue;
      const GraphNode& node = graph_.nodes()[n];
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i] && node.op->reads(i))
          uses_.readers[index(node.inputs[i])].push_back(static_cast<int>(n));
      }
    }
    uses_.is_output.assign(infos_.size(), false);
    for (Value output : outputs_) {
      if (output) uses_.is_output[index(output)] = true;
    }
    for (std::size_t v = 0; v < infos_.size(); ++v)
      uses_.producer.push_back(is_folded(v) ? -1 : graph_.values()[v].producer);
  }

  bool on_device() const { return program_.device_ != Device::cpu(); }
  bool alive(std::size_t value) const {
    return uses_.is_output[value] || !uses_.readers[value].empty();
  }
  bool is_folded(std::size_t value) const { return folded_.contains(static_cast<int>(value)); }
  int producer(std::size_t value) const { return uses_.producer[value]; }
  // When a node runs: on a device launches follow one another, on the CPU stages do.
  int time_of(int node) const {
    return (on_device() ? launch_of_node_ : stage_of_node_)[static_cast<std::size_t>(node)];
  }
  // Each slice of the rows makes a sum of its own.
  bool is_summed_by_slices(std::size_t value) const {
    const int made_by = producer(value);
    if (made_by < 0 || infos_[value].batched) return false;
    const auto n = static_cast<std::size_t>(made_by);
    return stage_of_node_[n] % 2 == 0 && (!on_device() || joinable_[n]);
  }
  void place_externals() {
    external_of_.assign(infos_.size(), -1);
    for (std::size_t v = 0; v < infos_.size(); ++v) {
      const GraphValue& value = graph_.values()[v];
      if (value.kind == ValueKind::result && !is_folded(v)) continue;
      const bool used = alive(v);
      const auto next = static_cast<int>(program_.externals_.size());
      if (value.kind == ValueKind::input) program_.input_externals_.push_back(used ? next : -1);
      if (!used) continue;
      external_of_[v] = next;
      Program::External external{.value = Value{static_cast<int>(v)}, .name = value.name};
      external.bytes = row_bytes(v) * (infos_[v].batched ? program_.batch_ : 1);
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

  // Life and class of every root.
  void classify() {
    class_.assign(infos_.size(), Class::none);
    first_.assign(infos_.size(), INT32_MAX);
    last_.assign(infos_.size(), INT32_MIN);
    std::vector<bool> local(infos_.size(), true);
    for (std::size_t v = 0; v < infos_.size(); ++v) {
      if (!alive(v) && producer(v) < 0) continue;
      const auto root = static_cast<std::size_t>(storage_[v].root);
      const int made_by = producer(v);
      if (made_by < 0) {
        class_[root] = Class::external;
        continue;
      }
      const int made = stage_of_node_[static_cast<std::size_t>(made_by)];
      if (made == kDeadStage || !alive(v)) continue;
      const bool by_rows = made % 2 == 0;
      if (class_[root] != Class::external)
        class_[root] = is_summed_by_slices(v) ? Class::slice_sum : Class::arena;
      const auto touch = [&](int node) {
        const int stage = time_of(node);
        first_[root] = std::min(first_[root], node);
        last_[root] = std::max(last_[root], node);
        first_stage(root) = std::min(first_stage(root), stage);
        last_stage(root) = std::max(last_stage(root), stage);
      };
      touch(made_by);
      for (int use : uses_.readers[v]) touch(use);
      if (uses_.is_output[v] || !infos_[v].batched || !by_rows || on_device()) local[root] = false;
      if (uses_.is_output[v]) last_stage(root) = INT32_MAX;
    }
    for (std::size_t v = 0; v < infos_.size(); ++v) {
      if (class_[v] == Class::arena && local[v] && first_stage(v) == last_stage(v))
        class_[v] = Class::tile;
    }
  }

  int& first_stage(std::size_t root) {
    if (stage_first_.empty()) stage_first_.assign(infos_.size(), INT32_MAX);
    return stage_first_[root];
  }
  int& last_stage(std::size_t root) {
    if (stage_last_.empty()) stage_last_.assign(infos_.size(), INT32_MIN);
    return stage_last_[root];
  }

  std::int64_t row_bytes(std::size_t value) const {
    const Extent extent = extent_of(infos_[value]);
    return extent.rows * extent.columns * static_cast<std::int64_t>(size_of(infos_[value].dtype));
  }

  void cut() {
    if (on_device()) {
      program_.tile_rows_ = (program_.batch_ + program_.slices_ - 1) / program_.slices_;
      return;
    }
    double operations = 0;
    std::int64_t bytes_per_row = 0;
    std::int64_t summed = 0;
    for (std::size_t n = 0; n < graph_.nodes().size(); ++n) {
      const int stage = stage_of_node_[n];
      if (stage == kDeadStage || stage % 2 != 0) continue;
      const GraphNode& node = graph_.nodes()[n];
      operations += node.op->operations(infos_of(node.inputs), infos_of(node.outputs));
    }
    for (std::size_t v = 0; v < infos_.size(); ++v) {
      if (class_[v] == Class::tile) bytes_per_row += row_bytes(v);
      if (class_[v] == Class::slice_sum) summed += infos_[v].shape.elements();
    }
    const RowCut cut = cut_rows(program_.batch_, operations, bytes_per_row, summed);
    program_.slices_ = cut.slices;
    program_.tile_rows_ = cut.tile_rows;
  }

  std::vector<ValueInfo> infos_of(const std::vector<Value>& values) const {
    std::vector<ValueInfo> infos;
    for (Value value : values) infos.push_back(value ? infos_[index(value)] : kAbsent);
    return infos;
  }

  void place() {
    const auto record = [&](std::size_t v, std::int64_t bytes, int first, int last) {
      program_.placements_.push_back({.value = Value{static_cast<int>(v)},
                                      .bytes = bytes,
                                      .offset = offset_[v],
                                      .first = first,
                                      .last = last,
                                      .tile = class_[v] == Class::tile});
    };
    offset_.assign(infos_.size(), 0);
    std::vector<MemoryRequest> tile;
    std::vector<std::size_t> tile_values;
    std::vector<MemoryRequest> arena;
    std::vector<std::size_t> arena_values;
    for (std::size_t v = 0; v < infos_.size(); ++v) {
      switch (class_[v]) {
        case Class::tile:
          // Stages run one after another and reuse the tile: node numbers order its life within a
          // stage.
          tile.push_back(
              {row_bytes(v) * program_.tile_rows_, order_of(first_[v]), order_of(last_[v])});
          tile_values.push_back(v);
          break;
        case Class::arena:
          arena.push_back({row_bytes(v) * (infos_[v].batched ? program_.batch_ : 1), first_stage(v),
                           last_stage(v)});
          arena_values.push_back(v);
          break;
        case Class::slice_sum:
          arena.push_back(
              {aligned(row_bytes(v)) * program_.slices_, first_stage(v), last_stage(v)});
          arena_values.push_back(v);
          break;
        case Class::none:
        case Class::external: break;
      }
    }
    const MemoryPlan tile_plan = plan_memory(tile);
    for (std::size_t i = 0; i < tile.size(); ++i) {
      offset_[tile_values[i]] = tile_plan.offsets[i];
      record(tile_values[i], tile[i].bytes, first_stage(tile_values[i]),
             last_stage(tile_values[i]));
    }
    program_.tile_bytes_ = tile_plan.bytes;
    const MemoryPlan arena_plan = plan_memory(arena);
    for (std::size_t i = 0; i < arena.size(); ++i) {
      offset_[arena_values[i]] = arena_plan.offsets[i];
      record(arena_values[i], arena[i].bytes, arena[i].first, arena[i].last);
    }
    program_.arena_bytes_ = arena_plan.bytes;
  }

  // Nodes in the order in which they run: by stage, then as in the graph.
  int order_of(int node) const {
    const auto nodes = static_cast<int>(graph_.nodes().size());
    return (stage_of_node_[static_cast<std::size_t>(node)] + 2) * nodes + node;
  }

  Operand operand(Value value) const {
    Operand result;
    if (!value) return result;
    const auto v = index(value);
    const auto root = static_cast<std::size_t>(storage_[v].root);
    const Extent extent = extent_of(infos_[v]);
    const auto element = static_cast<std::int64_t>(size_of(infos_[v].dtype));
    result.shape = infos_[v].shape;
    result.batched = infos_[v].batched;
    result.rows = extent.rows;
    result.columns = extent.columns;
    result.stride = storage_[v].stride;
    result.offset = offset_[root] + storage_[v].first * element;
    result.batch_row_bytes = result.batched ? row_bytes(root) : 0;
    switch (class_[root]) {
      case Class::none: break;
      case Class::external: result.base = Program::kFirstExternal + external_of_[root]; break;
      case Class::tile:
        result.base = Program::kTile;
        result.tile_local = true;
        break;
      case Class::arena:
      case Class::slice_sum: result.base = Program::kArena; break;
    }
    return result;
  }

  void bind() {
    if (on_device()) {
      bind_launches();
    } else {
      bind_stages();
    }
    for (Value output : outputs_) {
      program_.outputs_.push_back(operand(output));
      program_.output_infos_.push_back(output ? infos_[index(output)] : kAbsent);
      if (output && stays_in_slices(index(output))) {
        program_.outputs_.back().slices = program_.slices_;
        program_.outputs_.back().slice_bytes = aligned(row_bytes(index(output)));
      }
      if (on_device()) program_.output_stages_.push_back(output ? stage_of(index(output)) : 0);
    }
  }

  // The caller adds it up, and nobody needs it before.
  bool stays_in_slices(std::size_t value) const {
    return on_device() && program_.slices_ > 1 && is_summed_by_slices(value) &&
           uses_.readers[value].empty() &&
           std::find(left_in_slices_.begin(), left_in_slices_.end(),
                     Value{static_cast<int>(value)}) != left_in_slices_.end();
  }

  // The stage that makes a value, or adds up its slices.
  std::size_t stage_of(std::size_t value) const {
    if (producer(value) < 0) return 0;
    auto launch = static_cast<std::size_t>(time_of(producer(value)));
    if (is_summed_by_slices(value) && !stays_in_slices(value)) {
      const auto adds = [](const LaunchGroup& group) { return group.adds_slices; };
      const auto found = std::find_if(launches_.begin() + static_cast<std::ptrdiff_t>(launch),
                                      launches_.end(), adds);
      if (found != launches_.end()) launch = static_cast<std::size_t>(found - launches_.begin());
    }
    return stage_of_launch_[launch];
  }

  void bind_launches() {
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
      for (const int n : group.nodes) bind_node(graph_.nodes()[static_cast<std::size_t>(n)], stage);
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
    for (int stage : stage_of_node_) {
      if (stage == kDeadStage) continue;
      first = std::min(first, stage);
      last = std::max(last, stage);
    }
    for (int number = first; number <= last; ++number) {
      Program::Stage stage{.rows = number % 2 == 0};
      for (std::size_t n = 0; n < graph_.nodes().size(); ++n) {
        if (stage_of_node_[n] == number) bind_node(graph_.nodes()[n], stage);
      }
      if (!stage.ops.empty()) program_.stages_.push_back(std::move(stage));
    }
  }

  void bind_node(const GraphNode& node, Program::Stage& stage) {
    // A value that merely shares its input's storage costs nothing.
    if (node.op->alias().kind != Alias::Kind::none && storage_[index(node.outputs[0])].shared)
      return;
    Program::BoundOp bound{.op = node.op, .inputs = {}, .outputs = {}, .layer = node.layer};
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
      bound.inputs.push_back(operand(node.inputs[i]));
    for (Value output : node.outputs) {
      Operand result = output && alive(index(output)) ? operand(output) : Operand{};
      if (output) result.shape = infos_[index(output)].shape;
      if (result.base >= 0 && is_summed_by_slices(index(output))) {
        const auto v = index(output);
        const std::int64_t bytes = aligned(row_bytes(v));
        result.slice_bytes = bytes;
        if (!stays_in_slices(v)) {
          stage.sums.push_back(
              {.offset = result.offset, .stride = bytes, .count = infos_[v].shape.elements()});
        }
      }
      bound.outputs.push_back(std::move(result));
    }
    const std::vector<ValueInfo> inputs = infos_of(node.inputs);
    if (!stage.rows && !on_device()) bound.parts = node.op->parts(inputs);
    // Row programs have no scratch memory.
    const std::int64_t rows = stage.rows && !on_device() ? program_.tile_rows_ : program_.batch_;
    if (!stage.joined) {
      program_.scratch_bytes_ =
          std::max(program_.scratch_bytes_, node.op->scratch_bytes(inputs, rows));
    }
    stage.ops.push_back(std::move(bound));
  }

  Program& program_;
  const Graph& graph_;
  const std::vector<Value>& outputs_;
  const std::vector<Value>& left_in_slices_;
  std::vector<ValueInfo> infos_;
  std::map<int, Tensor> folded_;
  std::vector<bool> folded_nodes_;
  std::vector<bool> joinable_;  // on a device
  std::vector<LaunchGroup> launches_;
  std::vector<int> launch_of_node_;
  std::vector<std::size_t> stage_of_launch_;
  std::vector<int> stage_of_node_;
  ValueUses uses_;
  std::vector<Storage> storage_;
  std::vector<int> external_of_;
  std::vector<Class> class_;
  std::vector<int> first_;
  std::vector<int> last_;
  std::vector<int> stage_first_;
  std::vector<int> stage_last_;
  std::vector<std::int64_t> offset_;
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
