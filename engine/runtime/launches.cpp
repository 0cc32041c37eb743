#include "engine/runtime/launches.hpp"

#include <algorithm>
#include <map>

#include "engine/runtime/stages.hpp"
#include "kernels/row_program.hpp"

namespace braid {
namespace {

// Beyond, a launch of all rows, which keeps the whole device busy, pays for itself: with 16 rows a
// block a step of 2048 images took longer than one of 4096 in launches of their own.
constexpr std::int64_t kMostRows = kernels::kRowsInShared;
// But what is little work for a block costs it less than a launch of its own would, also with many
// rows: losses and metrics, derivatives of activations, layers that multiply in shared memory
// (kernels/dense_held.hpp), of which one of 100 inputs and 64 units on 64 rows takes five
// microseconds.
constexpr std::int64_t kMostLittleRows = 64;
constexpr std::int64_t kMostLittleElements = 8192;
constexpr double kMostLittleOperations = 1e6;
constexpr std::int64_t kNarrow = 16;  // columns: of these rows, more
constexpr std::int64_t kMostNarrowElements = 1024;
// Of a layer's weights and of all blocks' gradients of them, which pass through the second-level
// cache: sixteen megabytes.
constexpr std::int64_t kMostSliceElements = std::int64_t{1} << 22U;
// What a block does in about ten microseconds.
constexpr double kMostOperations = 8e6;
constexpr std::int64_t kMostElements = 65536;
// Of a value without rows: one block does it alone while the others have nothing to do.
constexpr std::int64_t kMostWholeElements = 4096;
// Of all that a block's rows have, joined or not: it counts their places, also those of a slice of
// a wide value, with 32 bits (kernels/simt/elements.hpp).
constexpr std::int64_t kMostPlaces = std::int64_t{1} << 27U;

class Grouping {
 public:
  Grouping(const Graph& graph, const std::vector<int>& stage_of_node,
           const std::vector<bool>& joinable)
      : graph_(graph),
        stage_of_node_(stage_of_node),
        joinable_(joinable),
        done_(stage_of_node.size(), false) {}

  std::vector<LaunchGroup> group(bool sums) {
    std::map<int, std::vector<int>> stages;
    for (std::size_t n = 0; n < stage_of_node_.size(); ++n) {
      if (stage_of_node_[n] != kDeadStage) stages[stage_of_node_[n]].push_back(static_cast<int>(n));
    }
    if (stages.empty()) return {};
    const int last = stages.rbegin()->first;
    for (const auto& [stage, nodes] : stages) {
      stage_ = stage;
      waiting_ = nodes;
      const bool by_rows = stage % 2 == 0;
      if (!by_rows && sums && stages.contains(stage - 1)) take_joined(true);
      while (!waiting_.empty()) {
        if (!take_alone()) take_joined(false);
      }
      // Sums that nobody but the caller waits for.
      if (by_rows && sums && !stages.contains(stage + 1) && stage <= last) {
        stage_ = stage + 1;
        take_joined(true);
      }
    }
    for (std::size_t group = 0; group < groups_.size();) group += move_up(group) ? 0 : 1;
    return std::move(groups_);
  }

 private:
  static std::size_t place(int node) { return static_cast<std::size_t>(node); }

  bool is_ready(int node) const {
    return std::ranges::none_of(graph_.nodes()[place(node)].values_read(), [&](Value input) {
      const int producer = graph_.value(input).producer;
      return producer >= 0 && stage_of_node_[place(producer)] == stage_ && !done_[place(producer)];
    });
  }

  bool take_alone() {
    const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](int node) {
      return !joinable_[place(node)] && is_ready(node);
    });
    if (found == waiting_.end()) return false;
    done_[place(*found)] = true;
    groups_.push_back({.stage = stage_, .nodes = {*found}});
    waiting_.erase(found);
    return true;
  }

  // The nodes stand in an order in which they can run.
  void take_joined(bool adds_slices) {
    LaunchGroup group{.stage = stage_, .joined = true, .adds_slices = adds_slices};
    std::erase_if(waiting_, [&](int node) {
      if (!joinable_[place(node)] || !is_ready(node)) return false;
      done_[place(node)] = true;
      group.nodes.push_back(node);
      return true;
    });
    groups_.push_back(std::move(group));
  }

  // Moves joined ops of the whole batch up to the launch before them that they can be part of: a
  // row program, or one block's. Returns whether they joined the latter.
  bool move_up(std::size_t group) {
    const auto own = groups_.begin() + static_cast<std::ptrdiff_t>(group);
    if (!own->joined || own->stage % 2 == 0) return false;
    for (auto other = own; other != groups_.begin();) {
      --other;
      if (other->joined && other->stage % 2 == 0) {
        std::rotate(other + 1, own, own + 1);
        return false;
      }
      if (other->joined) {
        other->nodes.insert(other->nodes.end(), own->nodes.begin(), own->nodes.end());
        other->adds_slices = other->adds_slices || own->adds_slices;
        groups_.erase(own);
        return true;
      }
      if (reads_from(own->nodes, other->nodes)) return false;
    }
    return false;
  }

  // Some of the nodes read what the earlier ones make.
  bool reads_from(const std::vector<int>& nodes, const std::vector<int>& earlier) const {
    return std::ranges::any_of(nodes, [&](int node) {
      return std::ranges::any_of(graph_.nodes()[place(node)].values_read(), [&](Value input) {
        return std::ranges::find(earlier, graph_.value(input).producer) != earlier.end();
      });
    });
  }

  const Graph& graph_;
  const std::vector<int>& stage_of_node_;
  const std::vector<bool>& joinable_;
  std::vector<bool> done_;
  int stage_ = 0;
  std::vector<int> waiting_;
  std::vector<LaunchGroup> groups_;
};

// Whether a block's rows of a value are few, or little enough for an op that does little with them.
bool is_little(const ValueInfo& value, std::int64_t slices) {
  const std::int64_t rows = value.shape[0];
  const std::int64_t elements = value.shape.elements();
  return rows <= kMostRows * slices ||
         (rows <= kMostLittleRows * slices && elements <= kMostLittleElements * slices) ||
         (elements <= kNarrow * rows && elements <= kMostNarrowElements * slices);
}
}  // namespace

std::vector<bool> find_joinable(const Graph& graph, const std::vector<ValueInfo>& infos,
                                std::int64_t slices) {
  const auto info = [&](Value value) { return value ? infos[index(value)] : kAbsent; };
  const bool countable = std::ranges::all_of(infos, [&](const ValueInfo& value) {
    return !value.present || !value.batched || value.shape.elements() / slices <= kMostPlaces;
  });
  std::vector<bool> joinable;
  for (const GraphNode& node : graph.nodes()) {
    std::vector<ValueInfo> inputs;
    std::vector<ValueInfo> outputs;
    for (Value input : node.inputs) inputs.push_back(info(input));
    for (Value output : node.outputs) outputs.push_back(info(output));
    bool joins = countable && node.op->joins_row_programs(inputs);
    bool has_rows = false;
    bool has_few_rows = true;
    std::int64_t most_whole = 0;  // elements of a value without rows
    const auto look = [&](const ValueInfo& value, bool read) {
      if (!value.present || !read) return;
      if (!value.batched) {
        most_whole = std::max(most_whole, value.shape.elements());
        return;
      }
      has_rows = true;
      has_few_rows = has_few_rows && value.shape[0] <= kMostRows * slices;
      joins = joins && is_little(value, slices) && value.shape.elements() / slices <= kMostElements;
    };
    for (std::size_t i = 0; i < inputs.size(); ++i) look(inputs[i], node.op->reads(i));
    for (const ValueInfo& output : outputs) look(output, true);
    if (has_rows) {
      const double most = has_few_rows ? kMostOperations : kMostLittleOperations;
      joins = joins && most_whole * slices <= kMostSliceElements &&
              node.op->operations(inputs, outputs) <= most * static_cast<double>(slices);
    } else {
      joins = joins && most_whole <= kMostWholeElements;
    }
    joinable.push_back(joins);
  }
  return joinable;
}

std::vector<LaunchGroup> group_launches(const Graph& graph, const std::vector<int>& stage_of_node,
                                        const std::vector<bool>& joinable, bool sums) {
  return Grouping(graph, stage_of_node, joinable).group(sums);
}

std::vector<int> waves_of(const Graph& graph, const std::vector<int>& nodes,
                          const std::vector<bool>& launches_nothing) {
  constexpr int kBefore = -1;
  std::map<int, int> wave_of_node;
  std::vector<int> waves;
  for (const int node : nodes) {
    int wave = kBefore;  // of the last one that this one reads from
    for (const Value input : graph.nodes()[static_cast<std::size_t>(node)].values_read()) {
      const auto maker = wave_of_node.find(graph.value(input).producer);
      if (maker != wave_of_node.end()) wave = std::max(wave, maker->second);
    }
    if (!launches_nothing[static_cast<std::size_t>(node)]) ++wave;
    wave_of_node[node] = wave;
    waves.push_back(wave);
  }
  return waves;
}

}  // namespace braid
