#include "engine/graph/ops/shape.hpp"

#include "engine/core/error.hpp"
#include "engine/graph/autograd.hpp"
#include "kernels/elementwise.hpp"

namespace braid::ops {
namespace {

// A matrix of elements seen as bytes.
template <class Byte>
Matrix<Byte> as_bytes(Matrix<Byte> matrix, std::size_t element) {
  const auto size = static_cast<std::int64_t>(element);
  return {matrix.data, matrix.rows, matrix.columns * size, matrix.stride * size};
}

// A packed byte matrix with other rows.
template <class Byte>
Matrix<Byte> with_columns(Matrix<Byte> matrix, std::int64_t columns) {
  if (matrix.columns == columns) return matrix;
  return {matrix.data, columns == 0 ? 0 : matrix.rows * matrix.columns / columns, columns, columns};
}

// What every op here shares: it moves elements of one size and looks at none.
class MovingOp : public Op {
 public:
  explicit MovingOp(DType dtype) : element_(size_of(dtype)) {}

 protected:
  Matrix<const std::uint8_t> bytes_in(const Run& run, std::size_t index) const {
    return as_bytes(run.in<std::uint8_t>(index), element_);
  }
  Matrix<std::uint8_t> bytes_out(const Run& run, std::size_t index = 0) const {
    return as_bytes(run.out<std::uint8_t>(index), element_);
  }
  std::int64_t element() const { return static_cast<std::int64_t>(element_); }
  // Nothing is moved where the plan let both share storage.
  static void copy(const Run& run, Matrix<const std::uint8_t> in, Matrix<std::uint8_t> out) {
    if (in.data != out.data) run.launch(kernels::CopyRows{.in = in, .out = out});
  }

 private:
  std::size_t element_;
};

// Copies `in` to `out` where only the grouping into rows differs.
void copy_regrouped(const Run& run, Matrix<const std::uint8_t> in, Matrix<std::uint8_t> out) {
  if (in.data == out.data) return;
  run.launch(kernels::CopyRows{.in = in, .out = with_columns(out, in.columns)});
}

class Reshape final : public MovingOp {
 public:
  Reshape(DType dtype, Shape target) : MovingOp(dtype), target_(std::move(target)) {}

  std::string_view kind() const override { return "reshape"; }
  Alias alias() const override { return {.kind = Alias::Kind::reshape}; }
  std::vector<ValueInfo> infer(Infos in) const override {
    const Shape& from = in[0].shape;
    const Dim elements = from.slice(1, from.rank()).elements();
    Dim known = 1;
    std::size_t unknown = target_.rank();
    for (std::size_t axis = 0; axis < target_.rank(); ++axis) {
      if (target_[axis] == None) {
        unknown = axis;
      } else {
        known *= target_[axis];
      }
    }
    Shape shape = target_;
    if (elements != None) {
      const bool fits =
          unknown < target_.rank() ? known != 0 && elements % known == 0 : known == elements;
      if (!fits) {
        throw ShapeError("the " + std::to_string(elements) + " elements of a row " +
                         to_string(from) + " cannot be reshaped to " +
                         to_string(target_.prepend(None)));
      }
      if (unknown < target_.rank()) shape[unknown] = elements / known;
    }
    return {{.shape = shape.prepend(from[0]), .dtype = in[0].dtype, .batched = in[0].batched}};
  }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override { copy_regrouped(run, bytes_in(run, 0), bytes_out(run)); }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {reshape_like(build.graph, build.gradient(), build.input(0))};
  }

 private:
  Shape target_;
};

class ReshapeLike final : public MovingOp {
 public:
  using MovingOp::MovingOp;
  std::string_view kind() const override { return "reshape_like"; }
  bool reads(std::size_t input) const override { return input == 0; }
  Alias alias() const override { return {.kind = Alias::Kind::reshape}; }
  std::vector<ValueInfo> infer(Infos in) const override {
    return {{.shape = in[1].shape, .dtype = in[0].dtype, .batched = in[0].batched}};
  }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override { copy_regrouped(run, bytes_in(run, 0), bytes_out(run)); }
};

// Columns back into their place among zeros: the gradient of `columns`.
class PadColumns final : public Op {
 public:
  explicit PadColumns(std::int64_t first) : first_(first) {}
  std::string_view kind() const override { return "pad_columns"; }
  bool reads(std::size_t input) const override { return input == 0; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[1]}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    const Matrix<const float> in = run.in<float>(0);
    const Matrix<float> out = run.out<float>(0);
    run.launch(kernels::Fill{.out = out, .value = 0});
    run.launch(
        kernels::Affine{.in = in, .out = {out.data + first_, out.rows, in.columns, out.stride}});
  }

 private:
  std::int64_t first_;
};

class Columns final : public MovingOp {
 public:
  Columns(DType dtype, std::int64_t first, std::int64_t count)
      : MovingOp(dtype), first_(first), count_(count) {}

  std::string_view kind() const override { return "columns"; }
  std::string detail() const override {
    return std::to_string(first_) + " .. " + std::to_string(first_ + count_ - 1);
  }
  Alias alias() const override { return {.kind = Alias::Kind::columns, .first_column = first_}; }
  std::vector<ValueInfo> infer(Infos in) const override {
    ValueInfo info = in[0];
    info.shape[info.shape.rank() - 1] = count_;
    return {info};
  }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    Matrix<const std::uint8_t> in = bytes_in(run, 0);
    in.data += first_ * element();
    in.columns = count_ * element();
    copy(run, in, bytes_out(run));
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {build.graph.op<PadColumns>({build.gradient(), build.input(0)}, first_)};
  }

 private:
  std::int64_t first_;
  std::int64_t count_;
};

// How many elements lie from the axis on, of the whole value. Asked for every tile: makes no shape.
std::int64_t elements_from(const Shape& shape, std::int64_t axis) {
  std::int64_t elements = 1;
  for (auto i = static_cast<std::size_t>(axis); i < shape.rank(); ++i) elements *= shape[i];
  return elements;
}

// The parts of a value that a concatenation joined, copied out: its gradient where column slices
// cannot be had.
class Split final : public MovingOp {
 public:
  Split(DType dtype, std::int64_t axis) : MovingOp(dtype), axis_(axis) {}
  std::string_view kind() const override { return "split"; }
  bool reads(std::size_t input) const override { return input == 0; }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in.begin() + 1, in.end()}; }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    const Matrix<const std::uint8_t> whole = bytes_in(run, 0);
    const Matrix<const std::uint8_t> joined =
        with_columns(whole, elements_from(run.in_shape(0), axis_) * element());
    std::int64_t first = 0;
    for (std::size_t i = 1; i < run.inputs(); ++i) {
      const std::int64_t width = elements_from(run.in_shape(i), axis_) * element();
      if (run.has_out(i - 1)) {
        copy(run, {joined.data + first, joined.rows, width, joined.stride},
             with_columns(bytes_out(run, i - 1), width));
      }
      first += width;
    }
  }

 private:
  std::int64_t axis_;
};

class Concatenate final : public MovingOp {
 public:
  Concatenate(DType dtype, std::int64_t axis, bool last)
      : MovingOp(dtype), dtype_(dtype), axis_(axis), last_(last) {}

  std::string_view kind() const override { return "concatenate"; }
  std::string detail() const override { return "axis " + std::to_string(axis_); }
  bool joins_columns() const override { return last_; }
  bool needs_packed() const override { return !last_; }
  std::vector<ValueInfo> infer(Infos in) const override {
    ValueInfo result = in[0];
    const auto axis = static_cast<std::size_t>(axis_);
    for (std::size_t i = 1; i < in.size(); ++i) {
      if (in[i].shape.rank() != result.shape.rank()) mismatch(in);
      for (std::size_t a = 0; a < result.shape.rank(); ++a) {
        const Dim dim = in[i].shape[a];
        if (a == axis) {
          result.shape[a] = dim == None || result.shape[a] == None ? None : result.shape[a] + dim;
        } else if (dim != result.shape[a] && dim != None && result.shape[a] != None) {
          mismatch(in);
        } else if (result.shape[a] == None) {
          result.shape[a] = dim;
        }
      }
      result.batched = result.batched || in[i].batched;
    }
    return {result};
  }
  bool joins_row_programs(Infos) const override { return true; }
  void run(const Run& run) const override {
    const std::int64_t whole = elements_from(run.out_shape(0), axis_) * element();
    const Matrix<std::uint8_t> out = last_ ? bytes_out(run) : with_columns(bytes_out(run), whole);
    std::int64_t first = 0;
    for (std::size_t i = 0; i < run.inputs(); ++i) {
      const std::int64_t width = elements_from(run.in_shape(i), axis_) * element();
      const Matrix<const std::uint8_t> in = bytes_in(run, i);
      copy(run, last_ ? in : with_columns(in, width),
           {out.data + first, out.rows, width, out.stride});
      first += width;
    }
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    bool known = last_;
    for (std::size_t i = 0; i < build.inputs(); ++i) {
      known = known && build.graph.info(build.input(i)).shape.back() != None;
    }
    if (!known) {
      std::vector<Value> inputs{build.gradient()};
      for (std::size_t i = 0; i < build.inputs(); ++i) inputs.push_back(build.input(i));
      return build.graph.add(std::make_shared<Split>(dtype_, axis_), inputs);
    }
    std::vector<Value> result;
    std::int64_t first = 0;
    for (std::size_t i = 0; i < build.inputs(); ++i) {
      const Dim width = build.graph.info(build.input(i)).shape.back();
      result.push_back(build.needs(i) ? columns(build.graph, build.gradient(), first, width)
                                      : Value{});
      first += width;
    }
    return result;
  }

 private:
  [[noreturn]] void mismatch(Infos in) const {
    std::string shapes;
    for (const ValueInfo& info : in)
      shapes += (shapes.empty() ? "" : " and ") + to_string(info.shape);
    throw ShapeError("shapes " + shapes + " cannot be concatenated along axis " +
                     std::to_string(axis_) + ": all other axes must agree");
  }

  DType dtype_;
  std::int64_t axis_;
  bool last_;
};

// Elements start .. stop - 1 along one axis; with `padded` the other way round, into zeros.
class SliceAxis final : public MovingOp {
 public:
  SliceAxis(DType dtype, std::int64_t axis, Dim start, Dim stop)
      : MovingOp(dtype), dtype_(dtype), axis_(axis), start_(start), stop_(stop) {}
  std::string_view kind() const override { return "slice"; }
  std::string detail() const override {
    return "axis " + std::to_string(axis_) + ", " + std::to_string(start_) + " .. " +
           (stop_ == None ? "end" : std::to_string(stop_ - 1));
  }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override {
    ValueInfo info = in[0];
    Dim& dim = info.shape[static_cast<std::size_t>(axis_)];
    if (dim == None && stop_ != None) {
      dim = stop_ - start_;
    } else if (dim != None) {
      const Dim stop = stop_ == None ? dim : stop_;
      if (start_ > stop || stop > dim) {
        throw ShapeError("a slice " + std::to_string(start_) + " .. " + std::to_string(stop) +
                         " of axis " + std::to_string(axis_) + " does not fit into " +
                         to_string(in[0].shape));
      }
      dim = stop - start_;
    }
    return {info};
  }
  void run(const Run& run) const override {
    const std::int64_t inner = elements_from(run.in_shape(0), axis_ + 1) * element();
    const std::int64_t whole = elements_from(run.in_shape(0), axis_) * element();
    const std::int64_t part = elements_from(run.out_shape(0), axis_) * element();
    const Matrix<const std::uint8_t> in = with_columns(bytes_in(run, 0), whole);
    copy(run, {in.data + start_ * inner, in.rows, part, whole}, with_columns(bytes_out(run), part));
  }
  std::vector<Value> gradients(GradientBuilder& build) const override;

 private:
  DType dtype_;
  std::int64_t axis_;
  Dim start_;
  Dim stop_;
};

class SliceAxisGradient final : public MovingOp {
 public:
  SliceAxisGradient(std::int64_t axis, Dim start)
      : MovingOp(DType::float32), axis_(axis), start_(start) {}
  std::string_view kind() const override { return "slice_gradient"; }
  bool reads(std::size_t input) const override { return input == 0; }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override { return {in[1]}; }
  void run(const Run& run) const override {
    run.launch(kernels::Fill{.out = run.out<float>(0), .value = 0});
    const std::int64_t inner = elements_from(run.out_shape(0), axis_ + 1) * element();
    const std::int64_t whole = elements_from(run.out_shape(0), axis_) * element();
    const std::int64_t part = elements_from(run.in_shape(0), axis_) * element();
    const Matrix<std::uint8_t> out = with_columns(bytes_out(run), whole);
    copy(run, with_columns(bytes_in(run, 0), part),
         {out.data + start_ * inner, out.rows, part, whole});
  }

 private:
  std::int64_t axis_;
  Dim start_;
};

std::vector<Value> SliceAxis::gradients(GradientBuilder& build) const {
  return {build.graph.op<SliceAxisGradient>({build.gradient(), build.input(0)}, axis_, start_)};
}

// [rows, outer, last] <-> [rows, last, outer] for each row of the batch.
class MoveLastAxis final : public Op {
 public:
  explicit MoveLastAxis(bool to_front) : to_front_(to_front) {}
  std::string_view kind() const override {
    return to_front_ ? "last_axis_first" : "first_axis_last";
  }
  bool needs_packed() const override { return true; }
  std::vector<ValueInfo> infer(Infos in) const override {
    std::vector<Dim> dims = in[0].shape.dims();
    if (to_front_) {
      dims.insert(dims.begin() + 1, dims.back());
      dims.pop_back();
    } else {
      dims.push_back(dims[1]);
      dims.erase(dims.begin() + 1);
    }
    ValueInfo info = in[0];
    info.shape = Shape(std::move(dims));
    return {info};
  }
  void run(const Run& run) const override {
    const Shape& shape = run.in_shape(0);
    const std::int64_t row = elements_from(shape, 1);
    const std::int64_t inner = to_front_ ? shape.back() : row / std::max<std::int64_t>(shape[1], 1);
    const std::int64_t outer = inner == 0 ? 0 : row / inner;
    run.launch(kernels::TransposeBlocks{.in = run.in<float>(0).data,
                                        .out = run.out<float>(0).data,
                                        .blocks = run.rows(),
                                        .rows = outer,
                                        .columns = inner});
  }
  std::vector<Value> gradients(GradientBuilder& build) const override {
    return {build.graph.op<MoveLastAxis>({build.gradient()}, !to_front_)};
  }

 private:
  bool to_front_;
};

}  // namespace

Value reshape(Graph& graph, Value in, const Shape& target) {
  return graph.op<Reshape>({in}, graph.info(in).dtype, target);
}

Value reshape_like(Graph& graph, Value in, Value like) {
  return graph.op<ReshapeLike>({in, like}, graph.info(in).dtype);
}

Value columns(Graph& graph, Value in, std::int64_t first, std::int64_t count) {
  return graph.op<Columns>({in}, graph.info(in).dtype, first, count);
}

Value concatenate(Graph& graph, const std::vector<Value>& in, std::int64_t axis) {
  const auto rank = static_cast<std::int64_t>(graph.info(in.front()).shape.rank());
  const std::int64_t from_front = axis < 0 ? axis + rank : axis;
  if (from_front < 1 || from_front >= rank) {
    throw ShapeError("axis " + std::to_string(axis) + " cannot be concatenated in " +
                     to_string(graph.info(in.front()).shape) + ": axes 1 .. " +
                     std::to_string(rank - 1) + " can");
  }
  if (in.size() == 1) return in.front();
  return graph.op<Concatenate>(in, graph.info(in.front()).dtype, from_front,
                               from_front == rank - 1);
}

Value slice_axis(Graph& graph, Value in, std::int64_t axis, Dim start, Dim stop) {
  return graph.op<SliceAxis>({in}, graph.info(in).dtype, axis, start, stop);
}

Value first_axis_last(Graph& graph, Value in) {
  return graph.info(in).shape.rank() < 3 ? in : graph.op<MoveLastAxis>({in}, false);
}

}  // namespace braid::ops
