#include "kernels/lstm.hpp"

#include <cstring>

#include "kernels/functions.hpp"
#include "kernels/lstm_layout.hpp"
#include "kernels/product.hpp"

namespace braid::kernels {
namespace {

bool is_default(const Activation& activation, const Activation& recurrent) {
  return activation.kind == ActivationKind::tanh && recurrent.kind == ActivationKind::sigmoid;
}

// What the forward pass keeps of a token, one block of H floats each.
struct Saved {
  float* gates;       // [tokens, 4H]: i, f, g, o after their activations
  float* c;           // [tokens, H]
  float* activated;   // [tokens, H]: activation(c)
  float* h;           // [tokens, H]
};

Saved saved_blocks(float* saved, const LstmShape& shape) {
  const std::int64_t block = shape.rows * shape.steps * shape.units;
  return {saved, saved + 4 * block, saved + 5 * block, saved + 6 * block};
}

// Gates of `count` tokens side by side: z in place becomes i, f, g, o; c and h are updated.
template <class Gate, class Body>
inline void cell(float* z, float* c, float* h, float* activated, std::int64_t count, std::int64_t units, const Gate& gate,
                 const Body& body) {
  for (std::int64_t n = 0; n < count; ++n) {
    float* i = z + n * 4 * units;
    float* f = i + units;
    float* g = f + units;
    float* o = g + units;
    float* cell_state = c + n * units;
    float* hidden = h + n * units;
    float* squashed = activated + n * units;
#pragma GCC ivdep
    for (std::int64_t u = 0; u < units; ++u) {
      i[u] = gate(i[u]);
      f[u] = gate(f[u]);
      g[u] = body(g[u]);
      o[u] = gate(o[u]);
      cell_state[u] = f[u] * cell_state[u] + i[u] * g[u];
      const float output = body(cell_state[u]);
      squashed[u] = output;
      hidden[u] = o[u] * output;
    }
  }
}

template <class Call>
inline void with_functions(const Activation& activation, const Activation& recurrent, const Call& call) {
  if (is_default(activation, recurrent)) {
    call([](float x) { return vector_sigmoid(x); }, [](float x) { return vector_tanh(x); });
    return;
  }
  const auto any = [](const Activation& f) {
    return [f](float x) {
      float y = 0;
      with_kind(f.kind, [&]<ActivationKind kind>() { y = function_of<kind>(x, f); });
      return y;
    };
  };
  call(any(recurrent), any(activation));
}

// d f / d x from the output where the function allows it. Others would need the input, which is not kept: it is found again
// only for the functions that Keras users put into an LSTM.
float derivative_from_output(const Activation& f, float y) {
  float slope = 0;
  with_kind(f.kind, [&]<ActivationKind kind>() {
    switch (kind) {
      case ActivationKind::hard_sigmoid: slope = y > 0 && y < 1 ? 1.0F / 6.0F : 0.0F; break;
      case ActivationKind::softplus: slope = 1.0F - vector_exp(-y); break;
      case ActivationKind::elu: slope = y > 0 ? 1.0F : y + f.a; break;
      case ActivationKind::selu: slope = y > 0 ? kSeluScale : y + kSeluScale * kSeluAlpha; break;
      case ActivationKind::celu: slope = y > 0 ? 1.0F : y / f.a + 1.0F; break;
      case ActivationKind::leaky_relu: slope = y >= 0 ? 1.0F : f.a; break;
      case ActivationKind::softsign: {
        const float d = 1.0F - std::fabs(y);
        slope = d * d;
        break;
      }
      default: slope = derivative_of<kind>(y, y, f);
    }
  });
  return slope;
}

// Packed inputs of all tokens.
Matrix<const float> gather_inputs(const LstmShape& shape, const LstmPacking& packing, Matrix<const float> in,
                                  Matrix<const std::int32_t> ids, Matrix<const float> table, float* out) {
  for_tokens(shape, packing, [&](std::int64_t token, std::int64_t, std::int64_t b, std::int64_t t) {
    const float* source = in ? in.row(b * shape.steps + t) : table.row(ids.row(b)[t]);
    std::memcpy(out + token * shape.features, source, static_cast<std::size_t>(shape.features) * sizeof(float));
  });
  return {out, packing.tokens(), shape.features, shape.features};
}

void copy_row(float* to, const float* from, std::int64_t count) {
  if (from != nullptr) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
  } else {
    std::memset(to, 0, static_cast<std::size_t>(count) * sizeof(float));
  }
}

}  // namespace

namespace BRAID_CPU {

void run(const LstmForward& args) {
  const LstmShape& shape = args.shape;
  const std::int64_t units = shape.units;
  const LstmScratch layout = lstm_scratch_layout(shape, false);
  auto* scratch = static_cast<std::byte*>(args.scratch);
  const auto floats = [&](std::int64_t offset) { return reinterpret_cast<float*>(scratch + offset); };
  const LstmPacking packing = pack_lstm(shape, args.mask, args.go_backwards, scratch, layout);
  float* h = floats(layout.h);
  float* c = floats(layout.c);
  for (std::int64_t i = 0; i < shape.rows; ++i) {
    const std::int64_t b = packing.order[i];
    copy_row(h + i * units, args.initial_h ? args.initial_h.row(b) : nullptr, units);
    copy_row(c + i * units, args.initial_c ? args.initial_c.row(b) : nullptr, units);
  }
  float* gates = args.saved != nullptr ? saved_blocks(args.saved, shape).gates : floats(layout.gates);
  const auto in = gather_inputs(shape, packing, args.in, args.ids, args.table, floats(layout.tokens_in));
  product(in, args.kernel, args.bias, {gates, packing.tokens(), 4 * units, 4 * units}, false);

  // Rows without a valid step repeat the start.
  if (args.sequence) {
    for (std::int64_t i = 0; i < shape.rows; ++i) {
      const std::int64_t b = packing.order[i];
      for (std::int64_t k = 0; packing.counts[i] == 0 && k < shape.steps; ++k) {
        copy_row(args.sequence.row(b * shape.steps + k), args.initial_h ? args.initial_h.row(b) : nullptr, units);
      }
    }
  }
  Saved saved{};
  if (args.saved != nullptr) saved = saved_blocks(args.saved, shape);
  with_functions(args.activation, args.recurrent_activation, [&](const auto& gate, const auto& body) {
    for (std::int64_t s = 0; s < packing.steps; ++s) {
      const std::int64_t active = packing.active(s);
      const std::int64_t first = packing.starts[s];
      float* z = gates + first * 4 * units;
      product({h, active, units, units}, args.recurrent, nullptr, {z, active, 4 * units, 4 * units}, true);
      float* activated = args.saved != nullptr ? saved.activated + first * units : h;
      cell(z, c, h, activated, active, units, gate, body);
      if (args.saved != nullptr) {
        std::memcpy(saved.c + first * units, c, static_cast<std::size_t>(active * units) * sizeof(float));
        std::memcpy(saved.h + first * units, h, static_cast<std::size_t>(active * units) * sizeof(float));
      }
      if (!args.sequence) continue;
      for (std::int64_t i = 0; i < active; ++i) {
        const std::int64_t b = packing.order[i];
        const std::int32_t* positions = packing.positions + i * shape.steps;
        const auto processed = [&](std::int64_t t) { return args.go_backwards ? shape.steps - 1 - t : t; };
        // This output holds until the next valid step; masked leading steps hold the start.
        const std::int64_t from = processed(positions[s]);
        const std::int64_t until = s + 1 < packing.counts[i] ? processed(positions[s + 1]) : shape.steps;
        for (std::int64_t k = from; k < until; ++k) copy_row(args.sequence.row(b * shape.steps + k), h + i * units, units);
        for (std::int64_t k = 0; s == 0 && k < from; ++k) {
          copy_row(args.sequence.row(b * shape.steps + k), args.initial_h ? args.initial_h.row(b) : nullptr, units);
        }
      }
    }
  });
  for (std::int64_t i = 0; i < shape.rows; ++i) {
    const std::int64_t b = packing.order[i];
    if (args.last_output) copy_row(args.last_output.row(b), h + i * units, units);
    if (args.last_h) copy_row(args.last_h.row(b), h + i * units, units);
    if (args.last_c) copy_row(args.last_c.row(b), c + i * units, units);
  }
}

void run(const LstmBackward& args) {
  const LstmShape& shape = args.shape;
  const std::int64_t units = shape.units;
  const LstmScratch layout = lstm_scratch_layout(shape, true);
  auto* scratch = static_cast<std::byte*>(args.scratch);
  const auto floats = [&](std::int64_t offset) { return reinterpret_cast<float*>(scratch + offset); };
  const LstmPacking packing = pack_lstm(shape, args.mask, args.go_backwards, scratch, layout);
  const std::int64_t tokens = packing.tokens();
  const Saved saved = saved_blocks(const_cast<float*>(args.saved), shape);
  float* dz = floats(layout.gates);
  float* dh = floats(layout.h);
  float* dc = floats(layout.c);
  float* previous = floats(layout.previous);
  float* out_grad = floats(layout.sequence);
  const auto add = [](float* to, const float* from, std::int64_t count) {
#pragma GCC ivdep
    for (std::int64_t u = 0; u < count; ++u) to[u] += from[u];
  };

  // Gradients of the repeated outputs gather at the token (or the initial state) whose output was repeated.
  for (std::int64_t n = 0; n < tokens * units; ++n) out_grad[n] = 0;
  for (std::int64_t i = 0; i < shape.rows; ++i) {
    const std::int64_t b = packing.order[i];
    float* h_grad = dh + i * units;
    copy_row(h_grad, args.last_output_grad ? args.last_output_grad.row(b) : nullptr, units);
    if (args.last_h_grad) add(h_grad, args.last_h_grad.row(b), units);
    copy_row(dc + i * units, args.last_c_grad ? args.last_c_grad.row(b) : nullptr, units);
    if (args.initial_h_grad) copy_row(args.initial_h_grad.row(b), nullptr, units);
    if (!args.sequence_grad) continue;
    std::int64_t s = -1;
    for (std::int64_t k = 0; k < shape.steps; ++k) {
      const std::int64_t t = args.go_backwards ? shape.steps - 1 - k : k;
      if (s + 1 < packing.counts[i] && packing.positions[i * shape.steps + s + 1] == t) ++s;
      const float* from = args.sequence_grad.row(b * shape.steps + k);
      if (s >= 0) {
        add(out_grad + (packing.starts[s] + i) * units, from, units);
      } else if (args.initial_h_grad) {
        add(args.initial_h_grad.row(b), from, units);
      }
    }
  }

  const bool plain = is_default(args.activation, args.recurrent_activation);
  for (std::int64_t s = packing.steps; s-- > 0;) {
    const std::int64_t active = packing.active(s);
    for (std::int64_t i = 0; i < active; ++i) {
      const std::int64_t token = packing.starts[s] + i;
      const std::int64_t b = packing.order[i];
      const float* gate_i = saved.gates + token * 4 * units;
      const float* gate_f = gate_i + units;
      const float* gate_g = gate_f + units;
      const float* gate_o = gate_g + units;
      const float* squashed = saved.activated + token * units;
      const float* h_before = nullptr;
      const float* c_before = nullptr;
      if (s > 0) {
        const std::int64_t before = packing.starts[s - 1] + i;
        h_before = saved.h + before * units;
        c_before = saved.c + before * units;
      } else {
        h_before = args.initial_h ? args.initial_h.row(b) : nullptr;
        c_before = args.initial_c ? args.initial_c.row(b) : nullptr;
      }
      float* before = previous + token * units;
      copy_row(before, h_before, units);
      float* z_i = dz + token * 4 * units;
      float* z_f = z_i + units;
      float* z_g = z_f + units;
      float* z_o = z_g + units;
      float* h_grad = dh + i * units;
      float* c_grad = dc + i * units;
      const float* arriving = out_grad + token * units;
      if (plain) {
#pragma GCC ivdep
        for (std::int64_t u = 0; u < units; ++u) {
          const float h_total = h_grad[u] + arriving[u];
          const float c_old = c_before != nullptr ? c_before[u] : 0.0F;
          const float c_total = c_grad[u] + h_total * gate_o[u] * (1.0F - squashed[u] * squashed[u]);
          z_o[u] = h_total * squashed[u] * gate_o[u] * (1.0F - gate_o[u]);
          z_i[u] = c_total * gate_g[u] * gate_i[u] * (1.0F - gate_i[u]);
          z_f[u] = c_total * c_old * gate_f[u] * (1.0F - gate_f[u]);
          z_g[u] = c_total * gate_i[u] * (1.0F - gate_g[u] * gate_g[u]);
          c_grad[u] = c_total * gate_f[u];
        }
      } else {
        for (std::int64_t u = 0; u < units; ++u) {
          const auto recurrent = [&](float y) { return derivative_from_output(args.recurrent_activation, y); };
          const auto body = [&](float y) { return derivative_from_output(args.activation, y); };
          const float h_total = h_grad[u] + arriving[u];
          const float c_old = c_before != nullptr ? c_before[u] : 0.0F;
          const float c_total = c_grad[u] + h_total * gate_o[u] * body(squashed[u]);
          z_o[u] = h_total * squashed[u] * recurrent(gate_o[u]);
          z_i[u] = c_total * gate_g[u] * recurrent(gate_i[u]);
          z_f[u] = c_total * c_old * recurrent(gate_f[u]);
          z_g[u] = c_total * gate_i[u] * body(gate_g[u]);
          c_grad[u] = c_total * gate_f[u];
        }
      }
    }
    product_transposed_b({dz + packing.starts[s] * 4 * units, active, 4 * units, 4 * units}, args.recurrent,
                         {dh, active, units, units}, false);
  }

  for (std::int64_t i = 0; i < shape.rows; ++i) {
    const std::int64_t b = packing.order[i];
    if (args.initial_h_grad) add(args.initial_h_grad.row(b), dh + i * units, units);
    if (args.initial_c_grad) copy_row(args.initial_c_grad.row(b), dc + i * units, units);
  }

  const Matrix<const float> z{dz, tokens, 4 * units, 4 * units};
  if (args.recurrent_grad) {
    product_transposed_a({previous, tokens, units, units}, z, args.recurrent_grad, args.accumulate);
  }
  if (args.kernel_grad) {
    const auto in = gather_inputs(shape, packing, args.in, args.ids, args.table, floats(layout.tokens_in));
    product_transposed_a(in, z, args.kernel_grad, args.accumulate);
  }
  if (args.bias_grad != nullptr) {
    for (std::int64_t u = 0; !args.accumulate && u < 4 * units; ++u) args.bias_grad[u] = 0;
    for (std::int64_t n = 0; n < tokens; ++n) add(args.bias_grad, z.row(n), 4 * units);
  }
  if (!args.in_grad) return;
  float* packed = floats(layout.in_grad);
  product_transposed_b(z, args.kernel, {packed, tokens, shape.features, shape.features}, false);
  if (tokens < shape.rows * shape.steps) {
    for (std::int64_t n = 0; n < args.in_grad.rows; ++n) copy_row(args.in_grad.row(n), nullptr, shape.features);
  }
  for_tokens(shape, packing, [&](std::int64_t token, std::int64_t, std::int64_t b, std::int64_t t) {
    copy_row(args.in_grad.row(b * shape.steps + t), packed + token * shape.features, shape.features);
  });
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
