#pragma once
#include "kernels/functions.hpp"
#include "kernels/register_blocks.hpp"

// The elementwise part of an LSTM step, one token (H units) at a time. Loops are over the units of
// a token alone, so a token's bits do not depend on the tokens beside it.
namespace braid::kernels {
namespace {

// exp(x) for -87 <= x <= 88 as 2^n (1 + q): q is exp(r) - 1 to full precision, |r| <= log(2) / 2.
struct ScaledExponential {
  Vector power;
  Vector q;
};

typedef std::int32_t IntVector __attribute__((vector_size(sizeof(Vector))));

inline ScaledExponential scaled_exponential(Vector x) {
  constexpr float kRound = 12582912.0F;  // adding it leaves the nearest integer in the lowest bits
  const Vector rounded = x * 1.44269504F + kRound;
  const Vector n = rounded - kRound;
  const Vector r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  Vector p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  return {(Vector)(((IntVector)rounded << 23) + (127 << 23)), p * (r * r) + r};
}

// Shorter than vector_math.hpp's, as nothing here may become infinite. NaN stays NaN. What a sum's
// rounding lost is known, and made up for.
inline Vector cell_sigmoid(Vector x) {
  const Vector low = Vector{} - 88.0F;
  const Vector high = Vector{} + 87.0F;
  x = x < low ? low : x;
  const ScaledExponential e = scaled_exponential(-(x > high ? high : x));
  const Vector whole = 1.0F + e.power;
  const Vector part = e.power * e.q + (1.0F - (whole - e.power));
  const Vector sum = whole + part;
  const Vector lost = part - (sum - whole);
  const Vector quotient = 1.0F / sum;
  return quotient - quotient * (quotient * lost);
}

// u / (2 - u) of u = 1 - exp(-2 |x|). Its correction is divided by 2 - u too, roughly.
inline Vector cell_tanh(Vector x) {
  const IntVector sign = (IntVector)x & INT32_MIN;
  const Vector low = Vector{} - 40.0F;
  const Vector twice = (Vector)((IntVector)x | INT32_MIN) * 2.0F;
  const ScaledExponential e = scaled_exponential(twice < low ? low : twice);
  const Vector whole = 1.0F - e.power;
  const Vector part = e.power * e.q;
  const Vector u = whole - part;
  const Vector u_lost = (whole - u) - part;
  const Vector under = 2.0F - u;
  const Vector under_lost = ((2.0F - under) - u) - u_lost;
  const Vector quotient = u / under;
  const Vector y = quotient + (u_lost - quotient * under_lost) * (0.5F + 0.5F * u);
  return (Vector)((IntVector)y | sign);
}

inline bool is_default(const Activation& activation, const Activation& recurrent) {
  return activation.kind == ActivationKind::tanh && recurrent.kind == ActivationKind::sigmoid;
}

// Where the numbers of a token lie. `gates` holds the pre-activations z before the step; after it
// the gates i, f, g, o where the functions are Keras's defaults, and still z for all others, whose
// derivatives cannot be had from the outputs.
struct CellForward {
  float* gates;      // [4H]
  float* c;          // [H]  in place
  float* activated;  // [H]  activation(c); may be h
  float* h;          // [H]
  std::int64_t units;
};

// Calls body(read, write, first) for vectors of units from `first` on; the last one may be shorter.
template <class Body>
inline void for_vectors(std::int64_t units, const Body& body) {
  std::int64_t u = 0;
  for (; u + kLanes <= units; u += kLanes) {
    body([](const float* from) { return load(from); }, [](float* to, Vector v) { store(to, v); },
         u);
  }
  if (u == units) return;
  const int count = static_cast<int>(units - u);
  body([count](const float* from) { return load_first(from, count); },
       [count](float* to, Vector v) { store_first(to, v, count); }, u);
}

// A vector of units after a step.
struct CellVectors {
  Vector gates[4];
  Vector c;
  Vector activated;
};

inline CellVectors default_cell(const Vector (&z)[4], Vector c_before) {
  CellVectors after;
  after.gates[0] = cell_sigmoid(z[0]);
  after.gates[1] = cell_sigmoid(z[1]);
  after.gates[2] = cell_tanh(z[2]);
  after.gates[3] = cell_sigmoid(z[3]);
  after.c = after.gates[1] * c_before + after.gates[0] * after.gates[2];
  after.activated = cell_tanh(after.c);
  return after;
}

template <class Write>
inline void write_cell(const CellForward& cell, const CellVectors& after, std::int64_t unit,
                       const Write& write) {
  for (int gate = 0; gate < 4; ++gate)
    write(cell.gates + gate * cell.units + unit, after.gates[gate]);
  write(cell.c + unit, after.c);
  write(cell.activated + unit, after.activated);
  write(cell.h + unit, after.gates[3] * after.activated);
}

inline void default_cell(const CellForward& cell) {
  for_vectors(cell.units, [&](const auto& read, const auto& write, std::int64_t u) {
    Vector z[4];
    for (int gate = 0; gate < 4; ++gate) z[gate] = read(cell.gates + gate * cell.units + u);
    write_cell(cell, default_cell(z, read(cell.c + u)), u, write);
  });
}

constexpr std::int64_t kChunk = 64;

inline void apply_function(const Activation& f, const float* x, float* y, std::int64_t count) {
  with_kind(f.kind, [&]<ActivationKind kind>() {
    const Activation fixed = f;
#pragma GCC ivdep
    for (std::int64_t u = 0; u < count; ++u) y[u] = function_of<kind>(x[u], fixed);
  });
}

inline void apply_derivative(const Activation& f, const float* x, const float* y, float* slope,
                             std::int64_t count) {
  with_kind(f.kind, [&]<ActivationKind kind>() {
    const Activation fixed = f;
#pragma GCC ivdep
    for (std::int64_t u = 0; u < count; ++u) slope[u] = derivative_of<kind>(x[u], y[u], fixed);
  });
}

// Calls body(first, count) for pieces of the units that fit the stack.
template <class Body>
inline void for_chunks(std::int64_t units, const Body& body) {
  for (std::int64_t u = 0; u < units; u += kChunk) body(u, units - u < kChunk ? units - u : kChunk);
}

inline void any_cell(const CellForward& cell, const Activation& activation,
                     const Activation& recurrent) {
  for_chunks(cell.units, [&](std::int64_t first, std::int64_t count) {
    float i[kChunk], f[kChunk], g[kChunk], o[kChunk];
    const float* z = cell.gates + first;
    apply_function(recurrent, z, i, count);
    apply_function(recurrent, z + cell.units, f, count);
    apply_function(activation, z + 2 * cell.units, g, count);
    apply_function(recurrent, z + 3 * cell.units, o, count);
    float* c = cell.c + first;
    for (std::int64_t u = 0; u < count; ++u) c[u] = f[u] * c[u] + i[u] * g[u];
    apply_function(activation, c, cell.activated + first, count);
    for (std::int64_t u = 0; u < count; ++u) cell.h[first + u] = o[u] * cell.activated[first + u];
  });
}

struct CellBackward {
  const float* gates;      // [4H]  as CellForward left them
  const float* c;          // [H]   after the step
  const float* activated;  // [H]
  const float* c_before;   // [H]   null: 0
  const float* h_grad;     // [H]   of this step's output
  const float* arriving;   // [H]   more of it; may be null
  float* c_grad;           // [H]   in place: from after the step to before it
  float* z_grad;           // [4H]
  std::int64_t units;
};

inline void default_cell_backward(const CellBackward& cell) {
  const std::int64_t units = cell.units;
  for_vectors(units, [&](const auto& read, const auto& write, std::int64_t u) {
    const float* gates = cell.gates + u;
    const Vector i = read(gates);
    const Vector f = read(gates + units);
    const Vector g = read(gates + 2 * units);
    const Vector o = read(gates + 3 * units);
    const Vector activated = read(cell.activated + u);
    const Vector c_old = cell.c_before != nullptr ? read(cell.c_before + u) : Vector{};
    Vector h = read(cell.h_grad + u);
    if (cell.arriving != nullptr) h += read(cell.arriving + u);
    const Vector c = read(cell.c_grad + u) + h * o * (1.0F - activated * activated);
    float* z = cell.z_grad + u;
    write(z, c * g * i * (1.0F - i));
    write(z + units, c * c_old * f * (1.0F - f));
    write(z + 2 * units, c * i * (1.0F - g * g));
    write(z + 3 * units, h * activated * o * (1.0F - o));
    write(cell.c_grad + u, c * f);
  });
}

inline void any_cell_backward(const CellBackward& cell, const Activation& activation,
                              const Activation& recurrent) {
  for_chunks(cell.units, [&](std::int64_t first, std::int64_t count) {
    float value[4][kChunk], slope[4][kChunk], state_slope[kChunk];
    for (int gate = 0; gate < 4; ++gate) {
      const Activation& function = gate == 2 ? activation : recurrent;
      const float* z = cell.gates + gate * cell.units + first;
      apply_function(function, z, value[gate], count);
      apply_derivative(function, z, value[gate], slope[gate], count);
    }
    const float* activated = cell.activated + first;
    apply_derivative(activation, cell.c + first, activated, state_slope, count);
    float* z_grad = cell.z_grad + first;
    for (std::int64_t u = 0; u < count; ++u) {
      const float h =
          cell.h_grad[first + u] + (cell.arriving != nullptr ? cell.arriving[first + u] : 0.0F);
      const float c_old = cell.c_before != nullptr ? cell.c_before[first + u] : 0.0F;
      const float c_total = cell.c_grad[first + u] + h * value[3][u] * state_slope[u];
      z_grad[u] = c_total * value[2][u] * slope[0][u];
      z_grad[cell.units + u] = c_total * c_old * slope[1][u];
      z_grad[2 * cell.units + u] = c_total * value[0][u] * slope[2][u];
      z_grad[3 * cell.units + u] = h * activated[u] * slope[3][u];
      cell.c_grad[first + u] = c_total * value[1][u];
    }
  });
}

// h of a token again, from what was kept of it.
inline void cell_output(const float* gates, const float* activated, float* h, std::int64_t units,
                        bool is_plain, const Activation& recurrent) {
  const float* o = gates + 3 * units;
  if (!is_plain) {
    apply_function(recurrent, o, h, units);
    o = h;
  }
#pragma GCC ivdep
  for (std::int64_t u = 0; u < units; ++u) h[u] = o[u] * activated[u];
}

}  // namespace
}  // namespace braid::kernels
