
#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"
#include "engine/graph/ops/elementwise.hpp"

namespace braid::ops {
namespace {

using kernels::BinaryKind;
using kernels::kMaxAxes;

const char* name_of(BinaryKind kind) {
  switch (kind) {
    case BinaryKind::add: return "add";
    case BinaryKind::subtract: return "subtract";
    case BinaryKind::multiply: return "multiply";
    case BinaryKind::divide: return "divide";
    case BinaryKind::maximum: return "maximum";
    case BinaryKind::minimum: return "minimum";
  }
  return "unknown";
}

// The shape with axes of 1 behind its first until it has `rank` axes.
Shape with_rank(const Shape& shape, std::size_t rank) {
  std::vector<Dim> dims = shape.dims();
  if (dims.empty()) dims.push_back(1);
  while (dims.size() < rank) dims.insert(dims.begin() + 1, 1);
  return Shape(std::move(dims));
}

// Strides of an operand seen over the axes of the result; axes of 1 are repeated.
template <class T>
kernels::Strided<T> strided(Matrix<T> matrix, const Shape& shape, std::size_t rank, bool batched) {
  kernels::Strided<T> operand;
  operand.data = matrix.data;
  const Shape aligned = with_rank(shape, rank);
  const std::size_t shift = static_cast<std::size_t>(kMaxAxes) - rank;
  std::int64_t stride = 1;
  for (std::size_t axis = rank; axis-- > 0;) {
    const bool repeated = aligned[axis] == 1 && !(axis == 0 && batched);
    operand.stride[shift + axis] = repeated ? 0 : stride;
    stride *= aligned[axis];
    if (axis + 1 == rank && shape.rank() > 1) stride = matrix.stride;
  }
  return operand;
}

// A mask [B, T] seen over the axes of its operand: repeated along all later axes.
kernels::Strided<const std::uint8_t> strided_mask(const Run& run, std::size_t index,
                                                  const Shape& operand_shape, std::size_t rank) {
  if (!run.has_in(index)) return {};
  const Matrix<const std::uint8_t> matrix = run.in<std::uint8_t>(index);
  const Shape& shape = run.in_shape(index);
  const std::size_t shift = static_cast<std::size_t>(kMaxAxes) - rank;
  const std::size_t steps = 1 + rank - operand_shape.rank();
  kernels::Strided<const std::uint8_t> mask{.data = matrix.data};
  mask.stride[shift] = matrix.stride;
  if (shape.rank() > 1 && shape[1] != 1) mask.stride[shift + steps] = 1;
  return mask;
}

void set_extent(std::int64_t (&extent)[kMaxAxes], const Shape& shape, const Run& run,
                bool batched) {
  const std::size_t shift = static_cast<std::size_t>(kMaxAxes) - shape.rank();
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) extent[shift + axis] = shape[axis];
  if (batched) extent[shift] = run.rows();
}

class BinaryGradient final : public Op {
 public:
  BinaryGradient(BinaryKind kind, bool self_is_first)
      : kind_(kind), self_is_first_(self_is_first) {}

  std::string_view kind() const override { return "binary_gradient"; }
  std::string detail() const override {
    return std::string(name_of(kind_)) + (self_is_first_ ? ", first" : ", second");
  }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[kSelf]}; }
  void run(const Run& run) const override {
    const Shape& shape = run.in_shape(kOutGrad);
    const std::size_t rank = shape.rank();
    const bool self_batched = run.in_batched(kSelf);
    const bool other_batched = run.in_batched(kOther);
    kernels::BinaryBackward arguments{
        .self = strided(run.in<float>(kSelf), run.in_shape(kSelf), rank, self_batched),
        .other = strided(run.in<float>(kOther), run.in_shape(kOther), rank, other_batched),
        .self_mask = strided_mask(run, kSelfMask, run.in_shape(kSelf), rank),
        .other_mask = strided_mask(run, kOtherMask, run.in_shape(kOther), rank),
        .out_grad = strided(run.in<float>(kOutGrad), shape, rank, run.in_batched(kOutGrad)),
        .self_grad = strided(run.out<float>(0), run.in_shape(kSelf), rank, self_batched),
        .kind = kind_,
        .self_is_first = self_is_first_,
        .accumulate = !self_batched && run.accumulate()};
    set_extent(arguments.extent, shape, run, run.in_batched(kOutGrad));
    run.launch(arguments);
  }

 private:
  enum { kSelf, kOther, kSelfMask, kOtherMask, kOutGrad };
  BinaryKind kind_;
  bool self_is_first_;
};

class Binary final : public Op {
 public:
  explicit Binary(BinaryKind kind) : kind_(kind) {}

  std::string_view kind() const override { return name_of(kind_); }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {{.shape = broadcast_shape(in[kA].shape, in[kB].shape),
             .batched = in[kA].batched || in[kB].batched}};
  }
  void run(const Run& run) const override {
    const Shape& shape = run.out_shape(0);
    const std::size_t rank = shape.rank();
    kernels::BinaryForward arguments{
        .a = strided(run.in<float>(kA), run.in_shape(kA), rank, run.in_batched(kA)),
        .b = strided(run.in<float>(kB), run.in_shape(kB), rank, run.in_batched(kB)),
        .a_mask = strided_mask(run, kAMask, run.in_shape(kA), rank),
        .b_mask = strided_mask(run, kBMask, run.in_shape(kB), rank),
        .out = strided(run.out<float>(0), shape, rank, run.out_batched(0)),
        .kind = kind_};
    set_extent(arguments.extent, shape, run, run.out_batched(0));
    run.launch(arguments);
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    std::vector<Value> result(4);
    const auto gradient = [&](std::size_t self, std::size_t other, bool first) -> Value {
      if (!build.needs(self)) return {};
      return build.graph.op<BinaryGradient>(
          {build.input(self), build.input(other), build.input(self + 2), build.input(other + 2),
           build.gradient()},
          kind_, first);
    };
    result[kA] = gradient(kA, kB, true);
    result[kB] = gradient(kB, kA, false);
    return result;
  }

 private:
  enum { kA, kB, kAMask, kBMask };
  BinaryKind kind_;
};

// The larger of an operand and itself: what remains is the broadcasting.
class BroadcastLike final : public Op {
 public:
  std::string_view kind() const override { return "broadcast_like"; }
  bool reads(std::size_t input) const override { return input == 0; }
  std::vector<ValueInfo> infer(Infos in) const override {
    const Shape shape = broadcast_shape(in[0].shape, in[1].shape);
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] == in[1].shape[axis] || in[1].shape[axis] == None) continue;
      throw ShapeError(to_string(in[0].shape) + " cannot be repeated to " + to_string(in[1].shape));
    }
    return {{.shape = shape, .batched = in[1].batched}};
  }
  void run(const Run& run) const override {
    const Shape& shape = run.out_shape(0);
    const auto in = strided(run.in<float>(0), run.in_shape(0), shape.rank(), run.in_batched(0));
    kernels::BinaryForward arguments{
        .a = in,
        .b = in,
        .out = strided(run.out<float>(0), shape, shape.rank(), run.out_batched(0)),
        .kind = BinaryKind::maximum};
    set_extent(arguments.extent, shape, run, run.out_batched(0));
    run.launch(arguments);
  }
};

}  // namespace

Value broadcast_like(Graph& graph, Value in, Value like) {
  return graph.op<BroadcastLike>({in, like});
}

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const std::size_t rank = std::max(a.rank(), b.rank());
  if (rank > static_cast<std::size_t>(kMaxAxes)) {
    throw ShapeError("element-wise operators take at most " + std::to_string(kMaxAxes) +
                     " axes, not " + to_string(a.rank() == rank ? a : b));
  }
  const Shape left = with_rank(a, rank);
  const Shape right = with_rank(b, rank);
  std::vector<Dim> dims;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (left[axis] != right[axis] && left[axis] > 1 && right[axis] > 1) {
      throw ShapeError("shapes " + to_string(a) + " and " + to_string(b) +
                       " cannot be broadcast together");
    }
    if (left[axis] == 1) {
      dims.push_back(right[axis]);
    } else if (right[axis] == 1 || left[axis] == right[axis]) {
      dims.push_back(left[axis]);
    } else {
      dims.push_back(left[axis] == None ? right[axis] : left[axis]);
    }
  }
  return Shape(std::move(dims));
}

Value binary(Graph& graph, BinaryKind kind, Value a, Value b, Value a_mask, Value b_mask) {
  return graph.op<Binary>({a, b, a_mask, b_mask}, kind);
}

}  // namespace braid::ops
