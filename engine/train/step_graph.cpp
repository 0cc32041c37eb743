#include "engine/train/step_graph.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"
#include "engine/graph/fusion.hpp"
#include "engine/graph/ops/elementwise.hpp"
#include "engine/train/loss_graph.hpp"

namespace braid {
namespace {

// Small integers stay as they are in storage and become float32 in the graph; int64 is converted
// while staging.
DType graph_dtype(DType declared, DType came) {
  if (declared == DType::float32) return came == DType::int64 ? DType::float32 : came;
  return declared == DType::int64 ? DType::int32 : declared;
}

kernels::Precision of_kernels(Precision precision) {
  switch (precision) {
    case Precision::tf32: return kernels::Precision::tf32;
    case Precision::bfloat16: return kernels::Precision::bfloat16;
    case Precision::float32: break;
  }
  return kernels::Precision::float32;
}

// The shape of targets or weights of this rank for an output of this shape.
Shape shape_beside(const Shape& predicted, const Shape& came) {
  const std::size_t rank = came.rank();
  Shape shape = predicted.slice(0, std::min(rank, predicted.rank()));
  if (rank > predicted.rank()) shape = shape.append(1);
  if (rank > 1 && came.back() == 1) shape[rank - 1] = 1;
  return shape;
}

void append_tensor_key(const Tensor* tensor, std::string& key) {
  if (tensor == nullptr) {
    key += '-';
    return;
  }
  const Shape& shape = tensor->shape();
  // One letter for what decides the graph: dtype, ragged, rank, a last axis of 1.
  const auto letter = static_cast<int>(tensor->dtype()) + 5 * (tensor->is_ragged() ? 1 : 0) +
                      10 * (!shape.empty() && shape.back() == 1 ? 1 : 0);
  key += static_cast<char>('0' + letter);
  key += static_cast<char>('0' + shape.rank());
}

// Values that a value is made of, through the ops between, as far as `passes` lets through.
template <class Passes>
std::set<int> values_behind(const Graph& graph, Value value, const Passes& passes) {
  std::set<int> seen;
  std::vector<Value> open{value};
  while (!open.empty()) {
    const Value next = open.back();
    open.pop_back();
    if (!next || !seen.insert(next.id).second) continue;
    const GraphNode* node = graph.producer(next);
    if (node != nullptr && passes(*node->op))
      open.insert(open.end(), node->inputs.begin(), node->inputs.end());
  }
  return seen;
}

bool passes_all(const Op&) { return true; }

// Ops that hand the elements of their inputs on as they are.
bool only_moves(const Op& op) {
  static const std::set<std::string_view> kinds{
      "to_ids",  "to_float",   "reshape",         "reshape_like",   "concatenate",
      "columns", "slice_axis", "first_axis_last", "last_axis_first"};
  return kinds.contains(op.kind());
}

}  // namespace

void StepGraph::append_key(Pass pass, const Bound& bound, std::string& key) {
  key += static_cast<char>('a' + static_cast<int>(pass));
  for (const Tensor* tensor : bound.x) append_tensor_key(tensor, key);
  for (const Tensor* tensor : bound.y) append_tensor_key(tensor, key);
  for (const Tensor* tensor : bound.weight) append_tensor_key(tensor, key);
}

Value StepGraph::add_input(Graph& graph, Feed& feed, ValueInfo info) {
  info.dtype = feed.dtype;
  info.batched = true;
  info.shape[0] = None;
  feed.value = static_cast<int>(input_infos_.size());
  input_infos_.push_back(info);
  return graph.input(feed.name, info);
}

std::vector<Lowered> StepGraph::feed_inputs(Graph& graph, const Functional& model,
                                            const Bound& sample) {
  const std::vector<std::string> names = model.input_names();
  std::vector<Lowered> lowered;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const SymbolicTensor& tensor = model.inputs()[i].second;
    const ValueInfo& declared =
        tensor.node()->outputs[static_cast<std::size_t>(tensor.index())].info;
    const Tensor& came = *sample.x[i];
    Feed feed{.role = "input",
              .name = names[i],
              .dtype = graph_dtype(declared.dtype, came.dtype()),
              .ragged = came.is_ragged()};
    Lowered input{.value = add_input(graph, feed, declared)};
    input_values_.push_back(input.value.id);
    row_end_values_.push_back(-1);
    if (feed.ragged) {
      Feed ends{.name = names[i] + " (row ends)", .dtype = DType::bool_};
      input.mask = add_input(graph, ends, {.shape = {None, None}});
      row_end_values_.back() = input.mask.id;
      input.ragged = true;
      feed.ends = ends.value;
    }
    x_.push_back(std::move(feed));
    lowered.push_back(input);
  }
  return lowered;
}

StepGraph::StepGraph(Functional& model, const Objective* objective, Pass pass, const Bound& sample,
                     Precision precision) {
  auto graph = std::make_shared<Graph>();
  AddedLosses added;
  RaggedRules rules;
  LayerCall call{.graph = *graph,
                 .inputs = feed_inputs(*graph, model, sample),
                 .training = pass == Pass::train,
                 .added_losses = pass == Pass::predict ? nullptr : &added,
                 .ragged_rules = &rules};
  const std::vector<Lowered> outputs = model.call(call);
  find_id_limits(*graph);
  find_same_rows(*graph, rules);
  find_ragged_sources(*graph, model.output_names(), outputs, rules);

  std::vector<Value> results;
  std::vector<Value> gradients;
  if (pass == Pass::predict) {
    for (const Lowered& output : outputs) results.push_back(output.value);
    fuse(*graph, results);
  } else {
    results = judge(*graph, *objective, sample, outputs, added);
    fuse(*graph, results);
  }
  if (pass == Pass::train) {
    std::vector<Value> weights;
    for (const auto& [path, variable] : objective->trainable)
      weights.push_back(graph->weight(variable));
    const Value total = results[static_cast<std::size_t>(total_loss_)];
    first_gradient_ = static_cast<int>(results.size());
    gradients =
        add_gradients(*graph, {{total, graph->scalar(1)}}, weights, gradient_on(model.device()));
    results.insert(results.end(), gradients.begin(), gradients.end());
  }
  if (dump_wanted("graph")) std::fputs(("graph\n" + describe(*graph)).c_str(), stderr);
  executor_ = std::make_unique<Executor>(std::move(graph), std::move(results), model.device(),
                                         of_kernels(precision), std::move(gradients));
}

std::vector<Value> StepGraph::judge(Graph& graph, const Objective& objective, const Bound& sample,
                                    const std::vector<Lowered>& outputs, const AddedLosses& added) {
  std::vector<Judged> judged;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Objective::Output& output = objective.outputs[i];
    Judged entry{.output = output.name, .prediction = outputs[i]};
    Feed truth{.role = "target", .name = output.name};
    Feed weight{.role = "sample weights of", .name = output.name};
    const Shape& predicted = graph.info(outputs[i].value).shape;
    const auto check_ragged = [&](const Tensor& came) {
      const bool steps = came.shape().rank() > 1 && (came.is_ragged() || came.shape()[1] != 1);
      if (!steps || came.is_ragged() == outputs[i].ragged) return;
      throw ShapeError(
          "output \"" + output.name + "\": its " +
          (outputs[i].ragged
               ? std::string("rows are ragged, so targets and weights of its steps must be too; ")
               : std::string("rows are not ragged, but ragged targets or weights came: ")) +
          braid::describe(came) + " came");
    };
    if (sample.y[i] != nullptr) {
      check_ragged(*sample.y[i]);
      const bool labels = output.loss && wants_labels(*output.loss);
      truth.dtype = labels ? DType::int32 : graph_dtype(DType::float32, sample.y[i]->dtype());
      truth.ragged = sample.y[i]->is_ragged();
      entry.truth =
          add_input(graph, truth, {.shape = shape_beside(predicted, sample.y[i]->shape())});
    }
    if (sample.weight[i] != nullptr) {
      check_ragged(*sample.weight[i]);
      weight.ragged = sample.weight[i]->is_ragged();
      entry.weight =
          add_input(graph, weight, {.shape = shape_beside(predicted, sample.weight[i]->shape())});
    }
    y_.push_back(std::move(truth));
    weights_.push_back(std::move(weight));
    judged.push_back(entry);
  }

  std::vector<Value> results{Value{}};
  std::vector<Value> summands;
  output_losses_.assign(outputs.size(), -1);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Objective::Output& output = objective.outputs[i];
    if (!output.loss) continue;
    const Value loss = add_loss(graph, *output.loss, judged[i]);
    output_losses_[i] = static_cast<int>(results.size());
    results.push_back(loss);
    summands.push_back(output.loss_weight == 1
                           ? loss
                           : ops::affine(graph, loss, static_cast<float>(output.loss_weight)));
  }
  first_metric_ = static_cast<int>(results.size());
  for (const Objective::Measured& measured : objective.metrics) {
    results.push_back(
        add_metric(graph, measured.metric, judged[measured.output], measured.weighted));
  }
  if (summands.empty()) return results;
  summands.insert(summands.end(), added.begin(), added.end());
  for (const auto& [path, variable] : objective.trainable) {
    const Regularizer& regularizer = variable->regularizer;
    if (!regularizer) continue;
    summands.push_back(ops::penalty(graph, graph.weight(variable), regularizer.l1, regularizer.l2));
  }
  total_loss_ = 0;
  results.front() = ops::sum(graph, summands);
  return results;
}

void StepGraph::find_id_limits(const Graph& graph) {
  for (const GraphNode& node : graph.nodes()) {
    if (node.op->kind() != "embedding") continue;
    const Shape& table = graph.info(node.inputs[1]).shape;
    const std::set<int> behind = values_behind(graph, node.inputs[0], only_moves);
    for (std::size_t i = 0; i < x_.size(); ++i) {
      if (behind.contains(input_values_[i])) id_limits_.push_back({i, table[0]});
    }
  }
}

std::vector<std::size_t> StepGraph::row_ends_behind(const Graph& graph, Value mask) const {
  const std::set<int> behind = values_behind(graph, mask, passes_all);
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < x_.size(); ++i) {
    if (x_[i].ragged && behind.contains(row_end_values_[i])) found.push_back(i);
  }
  return found;
}

void StepGraph::find_same_rows(const Graph& graph, const RaggedRules& rules) {
  for (const auto& [first, second] : rules.same) {
    for (std::size_t a : row_ends_behind(graph, first)) {
      for (std::size_t b : row_ends_behind(graph, second)) {
        if (a != b) same_rows_.emplace_back(a, b);
      }
    }
  }
}

void StepGraph::find_ragged_sources(const Graph& graph, const std::vector<std::string>& names,
                                    const std::vector<Lowered>& outputs, const RaggedRules& rules) {
  ragged_sources_.resize(outputs.size());
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (!outputs[o].ragged || !outputs[o].mask) continue;
    const std::set<int> behind = values_behind(graph, outputs[o].mask, passes_all);
    for (Value holed : rules.holed) {
      if (!behind.contains(holed.id)) continue;
      throw ShapeError("output \"" + names[o] +
                       "\": ragged rows were joined along their steps, so its rows have holes and "
                       "cannot come back ragged");
    }
    const auto sources = row_ends_behind(graph, outputs[o].mask);
    if (sources.empty())
      throw ShapeError("output \"" + names[o] + "\": its ragged rows follow no input");
    ragged_sources_[o] = sources.front();
  }
}

}  // namespace braid
