#include "kernels/elementwise_functions.hpp"

#include <cmath>
#include <cstring>

namespace braid::kernels {
namespace {

// Calls body(a, b, ...) with the offsets of one innermost row for every combination of the outer
// axes.
template <class Body>
inline void for_rows(const std::int64_t (&extent)[kMaxAxes], const Body& body) {
  std::int64_t at[kMaxAxes] = {};
  for (int axis = 0; axis < kMaxAxes - 1; ++axis) {
    if (extent[axis] == 0) return;
  }
  for (;;) {
    body(at);
    int axis = kMaxAxes - 2;
    while (axis >= 0 && ++at[axis] == extent[axis]) at[axis--] = 0;
    if (axis < 0) return;
  }
}

template <class T>
inline T* row_of(const Strided<T>& operand, const std::int64_t (&at)[kMaxAxes]) {
  T* pointer = operand.data;
  for (int axis = 0; axis < kMaxAxes - 1; ++axis) pointer += at[axis] * operand.stride[axis];
  return pointer;
}

}  // namespace

namespace BRAID_CPU {

void run(const BinaryForward& args) {
  const std::int64_t length = args.extent[kMaxAxes - 1];
  const std::int64_t a_step = args.a.stride[kMaxAxes - 1];
  const std::int64_t b_step = args.b.stride[kMaxAxes - 1];
  const std::int64_t out_step = args.out.stride[kMaxAxes - 1];
  const std::int64_t a_mask_step = args.a_mask.stride[kMaxAxes - 1];
  const std::int64_t b_mask_step = args.b_mask.stride[kMaxAxes - 1];
  with_binary(args.kind, [&]<BinaryKind kind>() {
    for_rows(args.extent, [&](const std::int64_t(&at)[kMaxAxes]) {
      const float* a = row_of(args.a, at);
      const float* b = row_of(args.b, at);
      float* out = row_of(args.out, at);
      if (args.a_mask || args.b_mask) {
        const std::uint8_t* a_mask = row_of(args.a_mask, at);
        const std::uint8_t* b_mask = row_of(args.b_mask, at);
        for (std::int64_t i = 0; i < length; ++i) {
          const bool a_valid = !args.a_mask || a_mask[i * a_mask_step] != 0;
          const bool b_valid = !args.b_mask || b_mask[i * b_mask_step] != 0;
          out[i * out_step] = combine_valid<kind>(a[i * a_step], b[i * b_step], a_valid, b_valid);
        }
      } else if (a_step == 1 && b_step == 1 && out_step == 1) {
#pragma GCC ivdep
        for (std::int64_t i = 0; i < length; ++i) out[i] = combine<kind>(a[i], b[i]);
      } else {
        for (std::int64_t i = 0; i < length; ++i)
          out[i * out_step] = combine<kind>(a[i * a_step], b[i * b_step]);
      }
    });
  });
}

void run(const BinaryBackward& args) {
  constexpr int kLast = kMaxAxes - 1;
  const std::int64_t length = args.extent[kLast];
  const Strided<float>& target = args.self_grad;
  if (!args.accumulate) {
    // Over the target's own elements: where it is repeated no times its sum is 0 all the same.
    std::int64_t own[kMaxAxes];
    for (int axis = 0; axis < kMaxAxes; ++axis)
      own[axis] = target.stride[axis] == 0 ? 1 : args.extent[axis];
    for_rows(own, [&](const std::int64_t(&at)[kMaxAxes]) {
      float* grad = row_of(target, at);
      for (std::int64_t i = 0; i < own[kLast]; ++i) grad[i * target.stride[kLast]] = 0;
    });
  }
  for_rows(args.extent, [&](const std::int64_t(&at)[kMaxAxes]) {
    const float* self = row_of(args.self, at);
    const float* other = row_of(args.other, at);
    const float* out_grad = row_of(args.out_grad, at);
    const std::uint8_t* self_mask = row_of(args.self_mask, at);
    const std::uint8_t* other_mask = row_of(args.other_mask, at);
    float* grad = row_of(target, at);
    for (std::int64_t i = 0; i < length; ++i) {
      const bool self_valid = !args.self_mask || self_mask[i * args.self_mask.stride[kLast]] != 0;
      const bool other_valid =
          !args.other_mask || other_mask[i * args.other_mask.stride[kLast]] != 0;
      const float of_self = args.self ? self[i * args.self.stride[kLast]] : 0.0F;
      const float of_other = args.other ? other[i * args.other.stride[kLast]] : 0.0F;
      grad[i * target.stride[kLast]] +=
          out_grad[i * args.out_grad.stride[kLast]] *
          slope_of(args.kind, args.self_is_first, of_self, of_other, self_valid, other_valid);
    }
  });
}

void run(const Affine& args) {
  for (std::int64_t n = 0; n < args.in.rows; ++n) {
    const float* in = args.in.row(n);
    float* out = args.out.row(n);
#pragma GCC ivdep
    for (std::int64_t c = 0; c < args.in.columns; ++c) out[c] = args.scale * in[c] + args.shift;
  }
}

void run(const Sum& args) {
  for (std::int64_t n = 0; n < args.out.rows; ++n) {
    float* out = args.out.row(n);
    for (int k = 0; k < args.count; ++k) {
      const float* in = args.in[k].row(n);
      if (k == 0) {
#pragma GCC ivdep
        for (std::int64_t c = 0; c < args.out.columns; ++c) out[c] = in[c];
      } else {
#pragma GCC ivdep
        for (std::int64_t c = 0; c < args.out.columns; ++c) out[c] += in[c];
      }
    }
  }
}

void run(const ScaleRows& args) {
  for (std::int64_t n = 0; n < args.in.rows; ++n) {
    const float* in = args.in.row(n);
    float* out = args.out.row(n);
    float factor = args.scale;
    if (args.scalar != nullptr) factor *= *args.scalar;
    if (args.row_factor) factor *= args.row_factor.row(n)[0];
#pragma GCC ivdep
    for (std::int64_t c = 0; c < args.in.columns; ++c) out[c] = in[c] * factor;
  }
}

void run(const CopyRows& args) {
  if (args.in.rows * args.in.columns == 0) return;  // operands may be nowhere
  if (args.in.packed() && args.out.packed()) {
    std::memcpy(args.out.data, args.in.data,
                static_cast<std::size_t>(args.in.rows * args.in.columns));
    return;
  }
  for (std::int64_t n = 0; n < args.in.rows; ++n) {
    std::memcpy(args.out.row(n), args.in.row(n), static_cast<std::size_t>(args.in.columns));
  }
}

void run(const Fill& args) {
  const float value = args.scalar != nullptr ? args.value * *args.scalar : args.value;
  for (std::int64_t n = 0; n < args.out.rows; ++n) {
    float* out = args.out.row(n);
    for (std::int64_t c = 0; c < args.out.columns; ++c) out[c] = value;
  }
}

void run(const ToFloat& args) {
  switch (args.type) {
    case ElementType::float32:
      if (args.count > 0)
        std::memcpy(args.out, args.in, static_cast<std::size_t>(args.count) * sizeof(float));
      break;
    case ElementType::int32:
      for (std::int64_t i = 0; i < args.count; ++i) {
        args.out[i] = static_cast<float>(static_cast<const std::int32_t*>(args.in)[i]);
      }
      break;
    case ElementType::int64:
      for (std::int64_t i = 0; i < args.count; ++i) {
        args.out[i] = static_cast<float>(static_cast<const std::int64_t*>(args.in)[i]);
      }
      break;
    case ElementType::uint8:
      for (std::int64_t i = 0; i < args.count; ++i) {
        args.out[i] = static_cast<float>(static_cast<const std::uint8_t*>(args.in)[i]);
      }
      break;
  }
}

void run(const FloatToIds& args) {
  for (std::int64_t n = 0; n < args.in.rows; ++n) {
    for (std::int64_t c = 0; c < args.in.columns; ++c) {
      args.out.row(n)[c] = id_of(args.in.row(n)[c]);
    }
  }
}

void run(const SumAll& args) {
  double sum = 0;
  for (std::int64_t n = 0; n < args.in.rows; ++n) {
    const float* in = args.in.row(n);
    for (std::int64_t c = 0; c < args.in.columns; ++c) {
      const double x = in[c];
      sum += args.square ? x * x : (args.absolute ? std::fabs(x) : x);
    }
  }
  const double before = args.accumulate ? static_cast<double>(*args.out) : 0.0;
  *args.out = static_cast<float>(before + static_cast<double>(args.factor) * sum);
}

void run(const TransposeBlocks& args) {
  const std::int64_t size = args.rows * args.columns;
  for (std::int64_t n = 0; n < args.blocks; ++n) {
    const float* in = args.in + n * size;
    float* out = args.out + n * size;
    for (std::int64_t c = 0; c < args.columns; ++c) {
      for (std::int64_t r = 0; r < args.rows; ++r)
        out[c * args.rows + r] = in[r * args.columns + c];
    }
  }
}

void run(const Quotient& args) {
  const double divisor = args.divisor != nullptr ? static_cast<double>(*args.divisor) : 1.0;
  *args.out = static_cast<float>(divisor == 0 ? 0.0 : args.numerator / divisor);
}

void run(const PenaltyGradient& args) {
  const float scale = args.scale != nullptr ? *args.scale : 1.0F;
  for (std::int64_t n = 0; n < args.weight.rows; ++n) {
    const float* weight = args.weight.row(n);
    float* out = args.out.row(n);
    for (std::int64_t c = 0; c < args.weight.columns; ++c) {
      const float w = weight[c];
      const float sign = w > 0 ? 1.0F : (w < 0 ? -1.0F : 0.0F);
      const float slope_here = scale * (args.l1 * sign + 2 * args.l2 * w);
      out[c] = args.accumulate ? out[c] + slope_here : slope_here;
    }
  }
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
