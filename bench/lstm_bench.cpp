// Time of the masked LSTM kernels on one core: rows of uniformly random lengths, forward and
// backward with all gradients, beside the time that the bare multiplications and additions would
// take.
//
//   braid_lstm_bench [rows steps features units [backend]]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "bench/clock.hpp"
#include "bench/processor_peak.hpp"
#include "kernels/launch.hpp"
#include "kernels/lstm.hpp"

namespace {

using braid::Matrix;
namespace kernels = braid::kernels;

double seconds_of(const std::function<void()>& work) {
  const auto start = bench::Clock::now();
  work();
  return bench::seconds_since(start);
}

// The least of many runs: the machine may be busy with other things.
double best_seconds(const std::function<void()>& work, double budget) {
  double best = std::numeric_limits<double>::infinity();
  work();
  for (double spent = 0; spent < budget;) {
    const double once = seconds_of(work);
    best = std::min(best, once);
    spent += once;
  }
  return best;
}

struct Floats {
  explicit Floats(std::int64_t rows = 0, std::int64_t columns = 0)
      : rows(rows), columns(columns), values(static_cast<std::size_t>(rows * columns)) {}
  Matrix<float> from_row(std::int64_t first, std::int64_t count) {
    return {values.data() + first * columns, count, columns, columns};
  }
  Matrix<float> all() { return from_row(0, rows); }
  void randomize(std::mt19937& generator, float spread) {
    std::uniform_real_distribution<float> uniform(-spread, spread);
    for (float& value : values) value = uniform(generator);
  }
  std::int64_t rows;
  std::int64_t columns;
  std::vector<float> values;
};

struct Lstm {
  Lstm(std::int64_t b, std::int64_t t, std::int64_t e, std::int64_t h)
      : shape{b, t, e, h},
        in(b * t, e),
        kernel(e, 4 * h),
        recurrent(h, 4 * h),
        bias(1, 4 * h),
        output(b, h),
        output_grad(b, h),
        saved(b, kernels::lstm_saved_per_row(shape)),
        in_grad(b * t, e),
        kernel_grad(e, 4 * h),
        recurrent_grad(h, 4 * h),
        bias_grad(1, 4 * h),
        mask(static_cast<std::size_t>(b * t)) {
    std::mt19937 generator(7);
    in.randomize(generator, 1);
    kernel.randomize(generator, 0.15F);
    recurrent.randomize(generator, 0.2F);
    output_grad.randomize(generator, 1);
    for (std::int64_t row = 0; row < b; ++row) {
      const auto length =
          static_cast<std::int64_t>(generator() % static_cast<std::uint32_t>(t)) + 1;
      for (std::int64_t step = 0; step < length; ++step)
        mask[static_cast<std::size_t>(row * t + step)] = 1;
      tokens += length;
    }
  }

  // A product of n rows takes 2 n (inputs)(outputs) operations; backward does it twice: to the
  // inputs and to the weights.
  double forward_operations() const {
    return 2.0 * static_cast<double>(tokens * (shape.features + shape.units) * 4 * shape.units);
  }

  void run_forward(const kernels::Stream& stream, std::int64_t first, std::int64_t count) {
    const kernels::LstmShape tile{count, shape.steps, shape.features, shape.units};
    kernels::launch(
        stream, kernels::LstmForward{.shape = tile,
                                     .in = in.from_row(first * shape.steps, count * shape.steps),
                                     .mask = mask_of(first, count),
                                     .kernel = kernel.all(),
                                     .recurrent = recurrent.all(),
                                     .bias = bias.values.data(),
                                     .last_output = output.from_row(first, count),
                                     .saved = saved.values.data(),
                                     .scratch = scratch(kernels::lstm_forward_scratch(tile))});
  }

  void run_backward(const kernels::Stream& stream, std::int64_t first, std::int64_t count) {
    const kernels::LstmShape tile{count, shape.steps, shape.features, shape.units};
    kernels::launch(
        stream,
        kernels::LstmBackward{.shape = tile,
                              .in = in.from_row(first * shape.steps, count * shape.steps),
                              .mask = mask_of(first, count),
                              .kernel = kernel.all(),
                              .recurrent = recurrent.all(),
                              .saved = saved.values.data(),
                              .last_output_grad = output_grad.from_row(first, count),
                              .in_grad = in_grad.from_row(first * shape.steps, count * shape.steps),
                              .kernel_grad = kernel_grad.all(),
                              .recurrent_grad = recurrent_grad.all(),
                              .bias_grad = bias_grad.values.data(),
                              .scratch = scratch(kernels::lstm_backward_scratch(tile)),
                              .accumulate = first > 0});
  }

  Matrix<const std::uint8_t> mask_of(std::int64_t first, std::int64_t count) const {
    return {mask.data() + first * shape.steps, count, shape.steps, shape.steps};
  }
  void* scratch(std::int64_t bytes) {
    memory.resize(std::max(memory.size(), static_cast<std::size_t>(bytes) + 64));
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    return memory.data() + (64 - address % 64) % 64;
  }

  kernels::LstmShape shape;
  Floats in, kernel, recurrent, bias, output, output_grad, saved, in_grad, kernel_grad,
      recurrent_grad, bias_grad;
  std::vector<std::uint8_t> mask;
  std::vector<std::byte> memory;
  std::int64_t tokens = 0;
};

void print_line(kernels::Backend backend, Lstm& lstm, std::int64_t tile, double peak) {
  const kernels::Stream stream{backend};
  // Tile after tile goes forward and back, as in training, through the same memory for what is
  // kept.
  double forward = std::numeric_limits<double>::infinity();
  double backward = forward;
  best_seconds(
      [&] {
        double there = 0;
        double back = 0;
        for (std::int64_t first = 0; first < lstm.shape.rows; first += tile) {
          const std::int64_t count = std::min(tile, lstm.shape.rows - first);
          there += seconds_of([&] { lstm.run_forward(stream, first, count); });
          back += seconds_of([&] { lstm.run_backward(stream, first, count); });
        }
        forward = std::min(forward, there);
        backward = std::min(backward, back);
      },
      1.0);
  const double floor = lstm.forward_operations() / peak;
  std::printf("%-9s %5lld %12.0f %12.0f %12.0f %9.0f %% %9.0f %% %9.0f %%\n",
              kernels::name_of(backend), static_cast<long long>(tile), forward * 1e6,
              backward * 1e6, (forward + backward) * 1e6, 100 * floor / forward,
              200 * floor / backward, 300 * floor / (forward + backward));
}

}  // namespace

int main(int count, char** words) {
  std::int64_t sizes[4] = {32, 200, 128, 64};
  for (int i = 1; i < count && i <= 4; ++i) sizes[i - 1] = std::max(1LL, std::atoll(words[i]));
  Lstm lstm(sizes[0], sizes[1], sizes[2], sizes[3]);
  std::printf(
      "LSTM, %lld rows, %lld steps, %lld valid ones, %lld features, %lld units; one core; shares "
      "of the peak\n",
      static_cast<long long>(sizes[0]), static_cast<long long>(sizes[1]),
      static_cast<long long>(lstm.tokens), static_cast<long long>(sizes[2]),
      static_cast<long long>(sizes[3]));
  for (const kernels::Backend backend :
       {kernels::Backend::avx512, kernels::Backend::avx2, kernels::Backend::portable}) {
    if (!kernels::is_supported(backend) ||
        (count > 5 && std::strcmp(words[5], kernels::name_of(backend)) != 0))
      continue;
    const double peak = bench::peak_operations_per_second(backend, 1);
    std::printf("\n%s: peak %.1f GFLOP/s, floor %.0f us forward and %.0f us backward\n",
                kernels::name_of(backend), peak * 1e-9, 1e6 * lstm.forward_operations() / peak,
                2e6 * lstm.forward_operations() / peak);
    std::printf("%-9s %5s %12s %12s %12s %11s %11s %11s\n", "backend", "tile", "forward us",
                "backward us", "both us", "forward", "backward", "both");
    for (const std::int64_t tile : {8, 16, 32}) {
      if (tile <= sizes[0] || tile == 8) print_line(backend, lstm, tile, peak);
    }
  }
}
