#include "tests/support/guarded_graph.hpp"

#include <algorithm>

namespace braid::testing {
namespace {

constexpr std::byte kPoison{0xFF};  // NaN as a float, -1 as an integer, 255 as a mask
constexpr std::int64_t kGuardBytes = 64;

template <class T>
void store_as(const Array& numbers, std::byte* target, std::int64_t columns, std::int64_t stride) {
  auto* elements = reinterpret_cast<T*>(target);
  for (std::int64_t i = 0; i < numbers.elements(); ++i) {
    elements[i / columns * stride + i % columns] = static_cast<T>(numbers[i]);
  }
}

template <class T>
Array load_as(const Shape& shape, const std::byte* source, std::int64_t columns,
              std::int64_t stride) {
  Array numbers(shape);
  const auto* elements = reinterpret_cast<const T*>(source);
  for (std::int64_t i = 0; i < numbers.elements(); ++i) {
    numbers[i] = static_cast<double>(elements[i / columns * stride + i % columns]);
  }
  return numbers;
}

}  // namespace

void store(const Array& numbers, DType dtype, std::byte* target, std::int64_t columns,
           std::int64_t stride) {
  switch (dtype) {
    case DType::float32: return store_as<float>(numbers, target, columns, stride);
    case DType::int32: return store_as<std::int32_t>(numbers, target, columns, stride);
    case DType::int64: return store_as<std::int64_t>(numbers, target, columns, stride);
    case DType::uint8:
    case DType::bool_: return store_as<std::uint8_t>(numbers, target, columns, stride);
  }
}

Array load(const Shape& shape, DType dtype, const std::byte* source, std::int64_t columns,
           std::int64_t stride) {
  switch (dtype) {
    case DType::float32: return load_as<float>(shape, source, columns, stride);
    case DType::int32: return load_as<std::int32_t>(shape, source, columns, stride);
    case DType::int64: return load_as<std::int64_t>(shape, source, columns, stride);
    case DType::uint8:
    case DType::bool_: return load_as<std::uint8_t>(shape, source, columns, stride);
  }
  return {};
}

std::vector<ValueInfo> infer_all(const Graph& graph, const Arrays& inputs) {
  std::vector<ValueInfo> infos;
  std::size_t next = 0;
  for (const GraphValue& value : graph.values()) {
    infos.push_back(value.info);
    if (value.kind == ValueKind::input) infos.back().shape = inputs[next++].shape;
  }
  for (const GraphNode& node : graph.nodes()) {
    std::vector<ValueInfo> in;
    for (Value input : node.inputs) in.push_back(input ? infos[index(input)] : kAbsent);
    const std::vector<ValueInfo> out = node.op->infer(in);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i]) infos[index(node.outputs[i])] = out[i];
    }
  }
  return infos;
}

GuardedValue::GuardedValue(const ValueInfo& info, std::int64_t gap, std::int64_t slices)
    : info_(info), element_(static_cast<std::int64_t>(size_of(info.dtype))), slices_(slices) {
  const Shape& shape = info.shape;
  if (shape.rank() > (info.batched ? 1 : 0)) columns_ = shape.back();
  const std::size_t rows_end = shape.rank() - (shape.rank() > (info.batched ? 1 : 0) ? 1 : 0);
  rows_ = shape.slice(0, rows_end).elements();
  stride_ = columns_ + gap;
  const std::int64_t bytes = rows_ * stride_ * element_;
  slice_bytes_ = (bytes + kGuardBytes) / kGuardBytes * kGuardBytes + kGuardBytes;
  storage_.assign(static_cast<std::size_t>(slice_bytes_ * slices + 3 * kGuardBytes), kPoison);
  // A column slice starts anywhere in a row, everything else where the plan's blocks start.
  const auto address = std::bit_cast<std::uintptr_t>(storage_.data());
  start_ =
      static_cast<std::size_t>(2 * kGuardBytes - address % kGuardBytes + (gap > 0 ? element_ : 0));
}

Operand GuardedValue::operand(std::int32_t base) const {
  Operand result{.base = base, .batched = info_.batched};
  const std::int64_t batch_rows = info_.batched ? info_.shape[0] : 1;
  result.rows =
      info_.batched
          ? info_.shape.slice(1, std::max<std::size_t>(info_.shape.rank(), 2) - 1).elements()
          : rows_;
  result.columns = columns_;
  result.stride = stride_;
  result.batch_row_bytes = batch_rows == 0 ? 0 : rows_ / batch_rows * stride_ * element_;
  result.slice_bytes = slices_ > 1 ? slice_bytes_ : 0;
  result.shape = info_.shape;
  return result;
}

void GuardedValue::fill(const Array& numbers) {
  store(numbers, info_.dtype, data(), columns_, stride_);
}

Array GuardedValue::numbers() const {
  return load(info_.shape, info_.dtype, storage_.data() + start_, columns_, stride_);
}

void GuardedValue::add_slices() {
  for (std::int64_t slice = 1; slice < slices_; ++slice) {
    auto* sum = reinterpret_cast<float*>(data());
    const auto* more = reinterpret_cast<const float*>(data() + slice * slice_bytes_);
    for (std::int64_t i = 0; i < rows_ * columns_; ++i) sum[i] += more[i];
  }
}

bool GuardedValue::is_ours(std::int64_t byte) const {
  if (byte < 0 || byte >= slice_bytes_ * slices_) return false;
  const std::int64_t inside = byte % slice_bytes_;
  return inside < rows_ * stride_ * element_ && inside % (stride_ * element_) < columns_ * element_;
}

bool GuardedValue::guards_are_intact() const {
  for (std::size_t i = 0; i < storage_.size(); ++i) {
    if (storage_[i] != kPoison &&
        !is_ours(static_cast<std::int64_t>(i) - static_cast<std::int64_t>(start_)))
      return false;
  }
  return true;
}

GuardedGraph::GuardedGraph(const Graph& graph, const Arrays& inputs, const std::set<int>& packed,
                           const GuardedRun& how)
    : graph_(graph), how_(how), infos_(infer_all(graph, inputs)) {
  place(packed);
  std::size_t next = 0;
  for (std::size_t v = 0; v < values_.size(); ++v) {
    const GraphValue& value = graph.values()[v];
    if (value.kind == ValueKind::input && infos_[v].batched) batch_ = infos_[v].shape[0];
    if (value.kind == ValueKind::input) values_[v].fill(inputs[next++]);
    if (value.kind == ValueKind::weight || value.kind == ValueKind::constant) {
      const Tensor& tensor =
          value.kind == ValueKind::weight ? value.variable->value : value.constant;
      const std::int64_t columns = tensor.shape().empty() ? 1 : tensor.shape().back();
      values_[v].fill(load(tensor.shape(), tensor.dtype(), tensor.raw(), columns, columns));
    }
    values_[v].keep();
  }
  for (const GraphNode& node : graph.nodes()) run(node);
  for (const GuardedValue& value : values_) CHECK(value.is_as_kept());
}

// The op sees rows of the batch (what it does not read does not count).
bool GuardedGraph::runs_by_rows(const GraphNode& node) const {
  if (!node.op->tileable(graph_.infos(node.inputs))) return false;
  const auto batched = [&](Value value) { return value && infos_[index(value)].batched; };
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (batched(node.inputs[i]) && node.op->reads(i)) return true;
  }
  return std::any_of(node.outputs.begin(), node.outputs.end(), batched);
}

void GuardedGraph::place(const std::set<int>& packed) {
  std::vector<std::int64_t> gaps(infos_.size(), how_.gap);
  std::vector<std::int64_t> slices(infos_.size(), 1);
  for (std::size_t v = 0; v < infos_.size(); ++v) {
    if (!infos_[v].batched || infos_[v].shape.rank() < 2 || packed.contains(static_cast<int>(v)))
      gaps[v] = 0;
  }
  for (const GraphNode& node : graph_.nodes()) {
    for (const auto* list : {&node.inputs, &node.outputs}) {
      for (Value value : *list) {
        if (value && node.op->needs_packed()) gaps[index(value)] = 0;
      }
    }
    for (Value output : node.outputs) {
      if (!output) continue;
      // What may share its operand's memory has none of its own to be a slice of.
      if (node.op->alias().kind != Alias::Kind::none) gaps[index(output)] = 0;
      if (runs_by_rows(node) && !infos_[index(output)].batched)
        slices[index(output)] = how_.cut.slices;
    }
  }
  for (std::size_t v = 0; v < infos_.size(); ++v) {
    values_.emplace_back(infos_[v], gaps[v], slices[v]);
    bases_.push_back(values_.back().data());
  }
}

void GuardedGraph::run(const GraphNode& node) {
  std::vector<ValueInfo> infos;
  std::vector<Operand> inputs;
  std::vector<Operand> outputs;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const Value input = node.inputs[i];
    infos.push_back(input ? infos_[index(input)] : kAbsent);
    inputs.push_back(input ? values_[index(input)].operand(input.id) : Operand{});
    // A sum over rows is complete in its first slice.
    inputs.back().slice_bytes = 0;
    if (!node.op->reads(i)) inputs.back().base = -1;
  }
  bool any = false;
  for (Value output : node.outputs) {
    outputs.push_back(output ? values_[index(output)].operand(output.id) : Operand{});
    any = any || output;
  }
  if (!any) return;  // its result was taken over by a fused op

  const bool by_rows = runs_by_rows(node);
  const std::int64_t rows = by_rows ? how_.cut.tile_rows : batch_;
  GuardedScratch scratch(node.op->scratch_bytes(infos, rows));
  Frame frame{.bases = bases_.data(),
              .batch = batch_,
              .scratch = static_cast<std::byte*>(scratch.data()),
              .random_state = &how_.state.random,
              .stream = {how_.backend}};
  if (by_rows) {
    for (frame.slice = 0; frame.slice < how_.cut.slices; ++frame.slice) {
      const std::int64_t begin = batch_ * frame.slice / how_.cut.slices;
      const std::int64_t end = batch_ * (frame.slice + 1) / how_.cut.slices;
      frame.first_row = begin;
      do {
        frame.rows = std::min(how_.cut.tile_rows, end - frame.first_row);
        frame.accumulate = frame.first_row != begin;
        node.op->run(Run(frame, inputs, outputs));
        frame.first_row += how_.cut.tile_rows;
      } while (frame.first_row < end);
    }
  } else {
    frame.rows = batch_;
    frame.parts = node.op->parts(infos);
    for (frame.part = 0; frame.part < frame.parts; ++frame.part)
      node.op->run(Run(frame, inputs, outputs));
  }
  bool intact = scratch.guards_are_intact();
  for (Value output : node.outputs) {
    if (!output) continue;
    intact = intact && values_[index(output)].guards_are_intact();
    values_[index(output)].add_slices();
    values_[index(output)].keep();
  }
  if (!intact) FAIL_CHECK("the op " << node.op->kind() << " writes beyond its results");
}

}  // namespace braid::testing
