#include "kernels/softmax.hpp"

#include "kernels/vector_math.hpp"

namespace braid::kernels {
namespace BRAID_CPU {

void run(const SoftmaxForward& args) {
  const std::int64_t inner = args.inner;
  const std::int64_t columns = inner == 0 ? 0 : args.in.columns / inner;
  for (std::int64_t n = 0; n < args.in.rows; ++n) {
    for (std::int64_t i = 0; i < inner; ++i) {
      const float* in = args.in.row(n) + i;
      float* out = args.out.row(n) + i;
      float largest = -INFINITY;
      for (std::int64_t c = 0; c < columns; ++c)
        largest = in[c * inner] > largest ? in[c * inner] : largest;
      float sum = 0;
      if (args.logarithm) {
        // The largest element's own exponential is 1: without it a sum near 0 keeps its digits.
        float others = 0;
        bool skipped = false;
        for (std::int64_t c = 0; c < columns; ++c) {
          if (!skipped && in[c * inner] == largest) {
            skipped = true;
          } else {
            others += vector_exp(in[c * inner] - largest);
          }
        }
        const float logarithm = vector_log1p(others);
        for (std::int64_t c = 0; c < columns; ++c)
          out[c * inner] = (in[c * inner] - largest) - logarithm;
        continue;
      }
      for (std::int64_t c = 0; c < columns; ++c)
        out[c * inner] = vector_exp(in[c * inner] - largest);
      for (std::int64_t c = 0; c < columns; ++c) sum += out[c * inner];
      const float scale = 1.0F / sum;
      for (std::int64_t c = 0; c < columns; ++c) out[c * inner] *= scale;
    }
  }
}

void run(const SoftmaxBackward& args) {
  const std::int64_t inner = args.inner;
  const std::int64_t columns = inner == 0 ? 0 : args.out.columns / inner;
  for (std::int64_t n = 0; n < args.out.rows; ++n) {
    for (std::int64_t i = 0; i < inner; ++i) {
      const float* out = args.out.row(n) + i;
      const float* out_grad = args.out_grad.row(n) + i;
      float* in_grad = args.in_grad.row(n) + i;
      float sum = 0;
      if (args.logarithm) {
        for (std::int64_t c = 0; c < columns; ++c) sum += out_grad[c * inner];
        for (std::int64_t c = 0; c < columns; ++c) {
          in_grad[c * inner] = out_grad[c * inner] - vector_exp(out[c * inner]) * sum;
        }
        continue;
      }
      for (std::int64_t c = 0; c < columns; ++c) sum += out[c * inner] * out_grad[c * inner];
      for (std::int64_t c = 0; c < columns; ++c)
        in_grad[c * inner] = out[c * inner] * (out_grad[c * inner] - sum);
    }
  }
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
