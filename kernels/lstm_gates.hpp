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
LstmFunctions functions_of(const Arguments& args) {
  return {args.activation, args.recurrent_activation};
}
template <class Arguments>
bool has_default_functions(const Arguments& args) {
  return args.activation.kind == ActivationKind::tanh &&
         args.recurrent_activation.kind == ActivationKind::sigmoid;
}

// An approximate reciprocal and one step of Newton's, without the branches of a division; the step
// also makes up for what the sum's rounding lost. Below -87 the sum would leave the range of the
// approximation. NaN stays.
__device__ inline float gate_sigmoid(float x) {
  const float above = x < -87.0F ? -87.0F : x;
  const SplitExponential e = split_exponential(-(above > 87.0F ? 87.0F : above));
  const float power = power_of_two(e.power);
  const float whole = 1.0F + power;
  const float part = fmaf(power, e.rest, 1.0F - (whole - power));
  const float sum = whole + part;
  const float lost = part - (sum - whole);
  const float guess = __fdividef(1.0F, sum);
  return fmaf(guess, fmaf(-lost, guess, fmaf(-sum, guess, 1.0F)), guess);
}

// u / (2 - u) of u = 1 - exp(-2 |x|), in the same way.
__device__ inline float gate_tanh(float x) {
  const float twice = -2.0F * fabsf(x);
  const SplitExponential e = split_exponential(twice < -40.0F ? -40.0F : twice);
  const float power = power_of_two(e.power);
  const float whole = 1.0F - power;
  const float u = fmaf(-power, e.rest, whole);
  const float u_lost = fmaf(-power, e.rest, whole - u);
  const float under = 2.0F - u;
  const float under_lost = ((2.0F - under) - u) - u_lost;
  const float guess = __fdividef(1.0F, under);
  const float y = u * guess;
  const float missing = fmaf(-y, under, u) + fmaf(-y, under_lost, u_lost);
  return copysignf(fmaf(missing, guess, y), x);
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

// Where a compiler could fuse either of two products with their sum, it is said which: all kernels
// are to give the same bits.
struct CellState {
  float4 kept;
  float c;
  float h;
};

// z: pre-activations of i, f, g, o.
template <bool kDefault>
__device__ inline CellState cell_forward(float4 z, float c, const LstmFunctions& functions) {
  if constexpr (kDefault) {
    const float i = gate_sigmoid(z.x);
    const float f = gate_sigmoid(z.y);
    const float g = gate_tanh(z.z);
    const float o = gate_sigmoid(z.w);
    c = fmaf(f, c, i * g);
    return {{i, f, g, o}, c, o * gate_tanh(c)};
  } else {
    const float i = value_of(z.x, functions.gate);
    const float f = value_of(z.y, functions.gate);
    const float g = value_of(z.z, functions.cell);
    const float o = value_of(z.w, functions.gate);
    c = fmaf(f, c, i * g);
    return {z, c, o * value_of(c, functions.cell)};
  }
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

// c: after the step.
template <bool kDefault>
__device__ inline CellSlopes cell_slopes(float4 kept, float c, float c_before,
                                         const LstmFunctions& functions) {
  if constexpr (kDefault) {
    const float i = kept.x;
    const float f = kept.y;
    const float g = kept.z;
    const float o = kept.w;
    const float activated = gate_tanh(c);
    return {.state = o * (1.0F - activated * activated),
            .i = g * i * (1.0F - i),
            .f = c_before * f * (1.0F - f),
            .g = i * (1.0F - g * g),
            .o = activated * o * (1.0F - o),
            .forget = f};
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
