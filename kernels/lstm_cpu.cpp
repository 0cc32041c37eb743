#include "kernels/lstm.hpp"

#include <cstring>

#include "kernels/lstm_forward_pass.hpp"
#include "kernels/product.hpp"

namespace braid::kernels {
namespace {

// Gradients of the outputs, each gathered at the token (or the initial state) whose output was
// repeated.
void gather_output_grads(const LstmBackward& args, const LstmPacking& packing, float* tokens) {
  const LstmShape& shape = args.shape;
  std::memset(tokens, 0, static_cast<std::size_t>(packing.tokens() * shape.units) * sizeof(float));
  for (std::int64_t i = 0; i < shape.rows; ++i) {
    const std::int64_t b = packing.order[i];
    std::int64_t s = -1;
    for (std::int64_t k = 0; k < shape.steps; ++k) {
      const std::int64_t t = args.go_backwards ? shape.steps - 1 - k : k;
      if (s + 1 < packing.counts[i] && packing.positions[i * shape.steps + s + 1] == t) ++s;
      const float* from = args.sequence_grad.row(b * shape.steps + k);
      if (s >= 0) {
        add_row(tokens + (packing.starts[s] + i) * shape.units, from, shape.units);
      } else if (args.initial_h_grad) {
        add_row(args.initial_h_grad.row(b), from, shape.units);
      }
    }
  }
}

void clear_masked_rows(const LstmBackward& args) {
  const LstmShape& shape = args.shape;
  if (!args.mask || args.ids) return;
  for (std::int64_t b = 0; b < shape.rows; ++b) {
    for (std::int64_t t = 0; t < shape.steps; ++t) {
      if (args.mask.row(b)[t] == 0)
        copy_row(args.in_grad.row(b * shape.steps + t), nullptr, shape.features);
    }
  }
}

// Gradients of the weights and inputs, a block of tokens at a time.
struct WeightGradients {
  const LstmBackward& args;
  const LstmPacking& packing;
  Panels kernel;  // of the transposed kernel
  float* block;   // scratch
  bool accumulate;

  // From the gradients of the pre-activations of steps `first` to `last` and from h before each of
  // their tokens.
  void add(std::int64_t first, std::int64_t last, const float* z_grad, const float* previous) {
    const LstmShape& shape = args.shape;
    const std::int64_t wide = 4 * shape.units;
    const std::int64_t start = packing.starts[first];
    const std::int64_t count = packing.starts[last] - start;
    const Matrix<const float> z{z_grad, count, wide, wide};
    if (args.recurrent_grad) {
      const Matrix<const float> h{previous, count, shape.units, shape.units};
      product_transposed_a(h, z, args.recurrent_grad, accumulate);
    }
    if (args.kernel_grad) {
      product_transposed_a(gather_inputs(args, packing, first, last, block), z, args.kernel_grad,
                           accumulate);
    }
    if (args.bias_grad != nullptr) {
      const float one = 1;
      product_transposed_a({&one, count, 1, 0}, z, {args.bias_grad, 1, wide, wide}, accumulate);
    }
    accumulate = true;
    if (!args.in_grad) return;
    product(z, kernel, nullptr, {block, count, shape.features, shape.features}, false);
    for_tokens(shape, packing, first, last,
               [&](std::int64_t token, std::int64_t, std::int64_t b, std::int64_t t) {
                 copy_row(args.in_grad.row(b * shape.steps + t),
                          block + (token - start) * shape.features, shape.features);
               });
  }
};

}  // namespace

namespace BRAID_CPU {

void run(const LstmForward& args) {
  LstmForwardPass pass(args);
  const LstmPacking& packing = pass.packing();
  const Panels kernel =
      packing.tokens() < kTokensWorthPanels ? Panels{} : pass.make_kernel_panels();
  std::int64_t projected = 0;  // steps whose inputs have been multiplied
  std::int64_t block = 0;      // the first token of the last ones
  for (std::int64_t s = 0; s < packing.steps; ++s) {
    if (s == projected) {
      block = packing.starts[s];
      while (projected < packing.steps && packing.starts[projected] - block < kTokenBlock)
        ++projected;
      pass.project(s, projected, block, kernel);
    }
    pass.step(s, pass.gates(packing.starts[s], block));
  }
  pass.write_states();
}

void run(const LstmBackward& args) {
  const LstmShape& shape = args.shape;
  if (args.table_grad.rows > 0) {
    LstmBackward of_inputs = args;
    of_inputs.table_grad = {};
    of_inputs.in_grad = {reinterpret_cast<float*>(static_cast<std::byte*>(args.scratch) +
                                                  lstm_scratch_layout(shape, true).bytes),
                         shape.rows * shape.steps, shape.features, shape.features};
    run(of_inputs);
    return run(EmbeddingBackward{.ids = args.ids,
                                 .order = args.order,
                                 .segments = args.segments,
                                 .out_grad = of_inputs.in_grad,
                                 .table_grad = args.table_grad,
                                 .last = args.table_grad.rows});
  }
  const std::int64_t units = shape.units;
  const LstmScratch layout = lstm_scratch_layout(shape, true);
  auto* scratch = static_cast<std::byte*>(args.scratch);
  const auto floats = [&](std::int64_t offset) {
    return reinterpret_cast<float*>(scratch + offset);
  };
  const LstmPacking packing = pack_lstm(shape, lstm_mask(args), args.go_backwards, scratch, layout);
  const bool is_plain = is_default(args.activation, args.recurrent_activation);
  const Saved saved = saved_blocks(const_cast<float*>(args.saved), shape);
  const Panels recurrent = make_transposed_panels(args.recurrent, floats(layout.recurrent));
  float* h_grad = floats(layout.h);
  float* c_grad = floats(layout.c);
  float* arriving = floats(layout.sequence);
  WeightGradients weights{.args = args,
                          .packing = packing,
                          .kernel = {},
                          .block = floats(layout.block),
                          .accumulate = args.accumulate};
  if (args.in_grad) {
    weights.kernel = make_transposed_panels(args.kernel, floats(layout.kernel));
    clear_masked_rows(args);
  }

  for (std::int64_t i = 0; i < shape.rows; ++i) {
    const std::int64_t b = packing.order[i];
    copy_row(h_grad + i * units, row_or_null(args.last_output_grad, b), units);
    if (args.last_h_grad) add_row(h_grad + i * units, args.last_h_grad.row(b), units);
    copy_row(c_grad + i * units, row_or_null(args.last_c_grad, b), units);
    if (args.initial_h_grad) copy_row(args.initial_h_grad.row(b), nullptr, units);
  }
  if (args.sequence_grad) gather_output_grads(args, packing, arriving);

  std::int64_t added = packing.steps;  // steps from here on are in the weight gradients
  // Numbers of the tokens before that fill a block from its end.
  const std::int64_t room = lstm_block_tokens(shape);
  const auto place_of = [&](std::int64_t token) { return room - (packing.starts[added] - token); };
  const auto z_grad_of = [&](std::int64_t token) {
    return floats(layout.gates) + place_of(token) * 4 * units;
  };
  const auto previous_of = [&](std::int64_t token) {
    return floats(layout.previous) + place_of(token) * units;
  };
  for (std::int64_t s = packing.steps; s-- > 0;) {
    const std::int64_t active = packing.active(s);
    const std::int64_t first = packing.starts[s];
    for (std::int64_t i = 0; i < active; ++i) {
      const std::int64_t token = first + i;
      const std::int64_t b = packing.order[i];
      const float* c_before = row_or_null(args.initial_c, b);
      if (s == 0) {
        copy_row(previous_of(token), row_or_null(args.initial_h, b), units);
      } else {
        const std::int64_t before = packing.starts[s - 1] + i;
        c_before = saved.c + before * units;
        cell_output(saved.gates + before * 4 * units, saved.activated + before * units,
                    previous_of(token), units, is_plain, args.recurrent_activation);
      }
      const CellBackward cell{.gates = saved.gates + token * 4 * units,
                              .c = saved.c + token * units,
                              .activated = saved.activated + token * units,
                              .c_before = c_before,
                              .h_grad = h_grad + i * units,
                              .arriving = args.sequence_grad ? arriving + token * units : nullptr,
                              .c_grad = c_grad + i * units,
                              .z_grad = z_grad_of(token),
                              .units = units};
      if (is_plain) {
        default_cell_backward(cell);
      } else {
        any_cell_backward(cell, args.activation, args.recurrent_activation);
      }
    }
    product({z_grad_of(first), active, 4 * units, 4 * units}, recurrent, nullptr,
            {h_grad, active, units, units}, false);
    if (packing.starts[added] - first >= kTokenBlock) {
      weights.add(s, added, z_grad_of(first), previous_of(first));
      added = s;
    }
  }
  // The rest; also nothing at all, where gradients are to be 0.
  if (added > 0 || packing.steps == 0) weights.add(0, added, z_grad_of(0), previous_of(0));

  for (std::int64_t i = 0; i < shape.rows; ++i) {
    const std::int64_t b = packing.order[i];
    if (args.initial_h_grad) add_row(args.initial_h_grad.row(b), h_grad + i * units, units);
    if (args.initial_c_grad) copy_row(args.initial_c_grad.row(b), c_grad + i * units, units);
  }
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
