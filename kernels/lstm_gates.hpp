#pragma once
#include "kernels/functions.hpp"
#include "kernels/lstm.hpp"
#include "kernels/simt/facade.hpp"

// The elementwise part of an LSTM step for one unit of one row. kDefault: Keras's tanh and sigmoid;
// then the gates are kept, else their pre-activations, as other derivatives cannot be had from the
// outputs.
namespace braid::kernels {
namespace {

struct LstmFunctions {
  Activation cell;
  Activation gate;
};

template <class Arguments>
bool has_default_functions(const Arguments& args) {
  return args.activation.kind == ActivationKind::tanh &&
         args.recurrent_activation.kind == ActivationKind::sigmoid;
}

// The sigmoid of x or, where asked for, its tanh: (A + B E) / (1 + E) of E = exp(-|x|) or
// exp(-2 |x|) makes either, and 1 - sigmoid(|x|) below 0, so that lanes may differ in which they
// make. An approximate reciprocal and one step of Newton's, without the branches of a division; the
// step also makes up for what sums lost in rounding. A step of a sequence waits for it twice: its
// polynomial has few stages, and products that are added are fused, so that where it is known which
// of the two is wanted the bits are the same. NaN stays.
__device__ inline float gate_value(float x, bool is_tanh) {
  constexpr float kRound = 12582912.0F;  // adding it leaves the nearest integer in the lowest bits
  const float far = is_tanh ? 20.0F : 87.0F;
  const float size = fabsf(x) > far ? far : fabsf(x);
  const float rounded = fmaf(size, is_tanh ? -2.88539008F : -1.44269504F, kRound);
  const float n = rounded - kRound;
  const float above = fmaf(n, -0.693359375F, size * (is_tanh ? -2.0F : -1.0F));
  const float r = fmaf(n, 2.12194440e-4F, above);
  // exp(r) - 1
  const float r2 = r * r;
  const float fifth = fmaf(r, 1.9875691500e-4F, 1.3981999507e-3F);
  const float third = fmaf(r, 8.3334519073e-3F, 4.1665795894e-2F);
  const float first = fmaf(r, 1.6666665459e-1F, 5.0000001201e-1F);
  const float rest = fmaf(fmaf(fmaf(fifth, r2, third), r2, first), r2, r);
  const float power = power_of_two(__float_as_int(rounded) - __float_as_int(kRound));

  const float whole = 1.0F + power;
  const float under = fmaf(power, rest, whole);
  const float under_lost = fmaf(power, rest, whole - under) + (power - (whole - 1.0F));
  const bool is_below = x < 0.0F;
  const float part = is_tanh ? 1.0F - power : (is_below ? power : 1.0F);
  const float factor = is_tanh ? -power : (is_below ? power : 0.0F);
  const float over = fmaf(factor, rest, part);
  const float over_lost = fmaf(factor, rest, part - over);
  const float guess = approximate_reciprocal(under);
  const float y = over * guess;
  const float missing = fmaf(-y, under, over) + fmaf(-y, under_lost, over_lost);
  const float value = fmaf(missing, guess, y);
  return is_tanh ? copysignf(value, x) : value;
}
__device__ inline float gate_sigmoid(float x) { return gate_value(x, false); }
__device__ inline float gate_tanh(float x) { return gate_value(x, true); }

// A few instructions each, off by 2e-7 at the most. For steps whose products are of rounded
// operands.
__device__ inline float quick_sigmoid(float x) {
  return approximate_reciprocal(1.0F + approximate_power_of_two(-1.44269504F * x));
}
__device__ inline float quick_tanh(float x) {
  return fmaf(-2.0F, approximate_reciprocal(1.0F + approximate_power_of_two(2.88539008F * x)),
              1.0F);
}

struct ValueAndSlope {
  float value;
  float slope;
};
__device__ inline ValueAndSlope value_and_slope(float x, const Activation& function) {
  ValueAndSlope result{};
  with_kind(function.kind, [&]<ActivationKind kind>() {
    result.value = function_of<kind>(x, function);
    result.slope = derivative_of<kind>(x, result.value, function);
  });
  return result;
}
__device__ inline float value_of(float x, const Activation& function) {
  float value = 0;
  with_kind(function.kind, [&]<ActivationKind kind>() { value = function_of<kind>(x, function); });
  return value;
}

// One of a unit's gates alone; `is_cell`: that which brings the cell something new.
template <bool kDefault>
__device__ inline float one_gate(float z, bool is_cell, const LstmFunctions& functions) {
  if constexpr (kDefault) {
    return gate_value(z, is_cell);
  } else {
    return is_cell ? value_of(z, functions.cell) : value_of(z, functions.gate);
  }
}

// Where a compiler could fuse either of two products with their sum, it is said which: all kernels
// are to give the same bits.
struct CellState {
  float4 kept;
  float c;
  float h;
};

// gates: i, f, g, o; kept: these, or their pre-activations.
template <bool kDefault>
__device__ inline CellState cell_of_gates(const float4& gates, const float4& kept, float c,
                                          const LstmFunctions& functions) {
  c = fmaf(gates.y, c, gates.x * gates.z);
  return {kept, c, gates.w * one_gate<kDefault>(c, true, functions)};
}
// z: pre-activations of i, f, g, o.
template <bool kDefault>
__device__ inline CellState cell_forward(const float4& z, float c, const LstmFunctions& functions) {
  const float4 gates = {
      one_gate<kDefault>(z.x, false, functions), one_gate<kDefault>(z.y, false, functions),
      one_gate<kDefault>(z.z, true, functions), one_gate<kDefault>(z.w, false, functions)};
  return cell_of_gates<kDefault>(gates, kDefault ? gates : z, c, functions);
}

// What the gradients of a step are multiplied with. All of it is known before the gradient of h
// arrives:
//   c' = c_grad + h_grad * state;  z_grad = c' * i, c' * f, c' * g, h_grad * o;  c_grad = c' *
//   forget
struct CellSlopes {
  float state;
  float i;
  float f;
  float g;
  float o;
  float forget;
};

// activated: tanh of c after the step.
__device__ inline CellSlopes default_slopes(const float4& gates, float activated, float c_before) {
  const float i = gates.x;
  const float f = gates.y;
  const float g = gates.z;
  const float o = gates.w;
  return {.state = o * (1.0F - activated * activated),
          .i = g * i * (1.0F - i),
          .f = c_before * f * (1.0F - f),
          .g = i * (1.0F - g * g),
          .o = activated * o * (1.0F - o),
          .forget = f};
}

// c: after the step.
template <bool kDefault>
__device__ inline CellSlopes cell_slopes(float4 kept, float c, float c_before,
                                         const LstmFunctions& functions) {
  if constexpr (kDefault) {
    return default_slopes(kept, gate_tanh(c), c_before);
  } else {
    const ValueAndSlope i = value_and_slope(kept.x, functions.gate);
    const ValueAndSlope f = value_and_slope(kept.y, functions.gate);
    const ValueAndSlope g = value_and_slope(kept.z, functions.cell);
    const ValueAndSlope o = value_and_slope(kept.w, functions.gate);
    const ValueAndSlope state = value_and_slope(c, functions.cell);
    return {.state = o.value * state.slope,
            .i = g.value * i.slope,
            .f = c_before * f.slope,
            .g = i.value * g.slope,
            .o = state.value * o.slope,
            .forget = f.value};
  }
}

// Gradients of the pre-activations; c_grad goes from after the step to before it.
__device__ inline float4 cell_backward(const CellSlopes& slopes, float h_grad, float& c_grad) {
  const float total = c_grad + h_grad * slopes.state;
  c_grad = total * slopes.forget;
  return {total * slopes.i, total * slopes.f, total * slopes.g, h_grad * slopes.o};
}

}  // namespace
}  // namespace braid::kernels
