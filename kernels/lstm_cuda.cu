// An LSTM on a GPU: a batch in slices of rows, each by parts (lstm_gpu.hpp), which stand in files
// of their own.
#include <algorithm>
#include <utility>

#include "kernels/lstm_gpu.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels::BRAID_GPU {
namespace {

template <class Slice>
void run_steps(const Stream& stream, const Slice& slice) {
  if (run_lstm_on_matrix_units(stream, slice) || run_lstm_persistently(stream, slice) ||
      run_lstm_by_teams(stream, slice))
    return;
  run_lstm_steps(stream, slice);
}

// Of rows `first` and those behind it.
LstmForwardSlice slice_of(const LstmForward& all, std::int64_t first) {
  LstmForwardSlice slice{.args = all};
  LstmForward& args = slice.args;
  LstmShape& shape = args.shape;
  shape.rows = std::min(shape.rows - first, lstm_slice_rows(shape));
  skip_rows(first * shape.steps, args.in, args.sequence);
  skip_rows(first, args.ids, args.mask, args.initial_h, args.initial_c, args.last_output,
            args.last_h, args.last_c);
  const LstmForwardPlaces places = lstm_forward_places(all.shape);
  const auto scratch = [&](std::int64_t place) { return floats_at(all.scratch, place); };
  slice.z = scratch(places.z);
  if (lstm_takes_table(all)) {
    slice.z_rows =
        reinterpret_cast<std::int32_t*>(slice.z + (all.table.rows + 1) * 4 * shape.units);
    slice.makes_z = first == 0;
  }
  slice.h = scratch(places.h);
  slice.c = scratch(places.c);
  float* token_memory = scratch(places.tokens);
  if (all.saved != nullptr) {
    slice.kept = lstm_kept(all.saved + first * lstm_gpu_saved_floats(shape), shape);
    if (slice.z_rows == nullptr) slice.z = slice.kept.gates;
    token_memory = slice.kept.tokens;
  }
  slice.tokens = lstm_tokens(shape, lstm_mask(args).is_there(), args.go_backwards, token_memory);
  return slice;
}

// Of rows `first` and those behind it.
LstmBackwardSlice slice_of(const LstmBackward& all, std::int64_t first) {
  LstmBackwardSlice slice{.args = all};
  LstmBackward& args = slice.args;
  LstmShape& shape = args.shape;
  shape.rows = std::min(shape.rows - first, lstm_slice_rows(shape));
  skip_rows(first * shape.steps, args.in, args.sequence_grad, args.in_grad);
  skip_rows(first, args.ids, args.mask, args.initial_h, args.initial_c, args.last_output_grad,
            args.last_h_grad, args.last_c_grad, args.initial_h_grad, args.initial_c_grad);
  args.accumulate = all.accumulate || first > 0;
  const LstmBackwardPlaces places = lstm_backward_places(all.shape, all.table_grad.rows);
  const auto scratch = [&](std::int64_t place) { return floats_at(all.scratch, place); };
  slice.z_grad = scratch(places.z_grad);
  slice.partial = scratch(places.partial);
  slice.kernel = scratch(places.kernel);
  slice.recurrent = scratch(places.recurrent);
  slice.c_grad = scratch(places.c_grad);
  slice.first_position = static_cast<std::int32_t>(first * shape.steps);
  if (all.table_grad.rows > 0) {
    slice.shared_sums = scratch(places.shared_sums);
    if (lstm_takes_table(all)) slice.by_ids = scratch(places.by_ids);
  }
  // What was saved is only read.
  auto* saved = const_cast<float*>(all.saved);
  slice.kept = lstm_kept(saved + first * lstm_gpu_saved_floats(shape), shape);
  slice.tokens =
      lstm_tokens(shape, lstm_mask(args).is_there(), args.go_backwards, slice.kept.tokens);
  return slice;
}

// The rows of the table in the place of tokens, and the sums of their gradients: what is left to do
// when all slices are added to them.
LstmBackwardSlice slice_of_table(const LstmBackward& all) {
  LstmBackwardSlice slice = slice_of(all, 0);
  LstmBackward& args = slice.args;
  args.shape = lstm_table_shape(all.shape, all.table.rows);
  args.in = all.table;
  args.ids = {};
  args.mask = {};
  args.in_grad = all.table_grad;
  args.recurrent_grad = {};
  args.bias_grad = nullptr;
  slice.tokens = lstm_tokens(args.shape, false, false, nullptr);
  slice.z_grad = slice.by_ids;
  return slice;
}

void run_slices(const Stream& stream, const LstmBackward& args) {
  std::int64_t row = 0;
  do {
    LstmBackwardSlice slice = slice_of(args, row);
    if (slice.args.shape.rows > 0) run_steps(stream, slice);  // without: gradients of weights are 0
    if (slice.by_ids != nullptr) {
      sum_lstm_gradients(stream, slice, args.ids);
      slice.args.kernel_grad = {};
    }
    find_lstm_gradients(stream, slice);
    row += lstm_slice_rows(args.shape);
  } while (row < args.shape.rows);
}

// The gradients of all inputs, and then their sums.
void run_through_inputs(const Stream& stream, LstmBackward args) {
  const LstmBackwardPlaces places = lstm_backward_places(args.shape, args.table.rows);
  const Matrix<float> table_grad = std::exchange(args.table_grad, {});
  const std::int64_t features = args.shape.features;
  args.in_grad = {floats_at(args.scratch, places.by_ids), args.shape.rows * args.shape.steps,
                  features, features};
  run_slices(stream, args);
  run(stream, EmbeddingBackward{.ids = args.ids,
                                .order = args.order,
                                .segments = args.segments,
                                .out_grad = args.in_grad,
                                .table_grad = table_grad,
                                .last = table_grad.rows,
                                .scratch = floats_at(args.scratch, places.shared_sums)});
}

}  // namespace

void run(const Stream& stream, const LstmForward& args) {
  if (args.shape.units == 0) return;
  for (std::int64_t row = 0; row < args.shape.rows; row += lstm_slice_rows(args.shape)) {
    const LstmForwardSlice slice = slice_of(args, row);
    project_lstm_inputs(stream, slice);
    run_steps(stream, slice);
  }
}

void run(const Stream& stream, const LstmBackward& args) {
  if (args.shape.units == 0) return;
  if (args.table_grad.rows == 0) return run_slices(stream, args);
  if (!lstm_takes_table(args)) return run_through_inputs(stream, args);
  run_slices(stream, args);
  find_lstm_gradients(stream, slice_of_table(args));
}

}  // namespace braid::kernels::BRAID_GPU
