#include "kernels/mask.hpp"

namespace braid::kernels {
namespace BRAID_CPU {

void run(const IdsNotEqual& args) {
  for (std::int64_t n = 0; n < args.ids.rows; ++n) {
    const std::int32_t* ids = args.ids.row(n);
    std::uint8_t* mask = args.mask.row(n);
    for (std::int64_t t = 0; t < args.ids.columns; ++t) mask[t] = ids[t] != args.value ? 1 : 0;
    if (!args.and_mask) continue;
    const std::uint8_t* also = args.and_mask.row(n);
    for (std::int64_t t = 0; t < args.ids.columns; ++t)
      mask[t] = mask[t] != 0 && also[t] != 0 ? 1 : 0;
  }
}

void run(const MaskingForward& args) {
  for (std::int64_t n = 0; n < args.in.rows; ++n) {
    const float* in = args.in.row(n);
    bool valid = false;
    for (std::int64_t f = 0; f < args.in.columns; ++f) valid = valid || in[f] != args.value;
    if (args.and_mask) valid = valid && args.and_mask.row(n)[0] != 0;
    if (args.mask) args.mask.row(n)[0] = valid ? 1 : 0;
    if (!args.out) continue;
    float* out = args.out.row(n);
    for (std::int64_t f = 0; f < args.in.columns; ++f) out[f] = valid ? in[f] : 0.0F;
  }
}

void run(const MaskingBackward& args) {
  for (std::int64_t n = 0; n < args.out_grad.rows; ++n) {
    const bool valid = args.mask.row(n)[0] != 0;
    const float* out_grad = args.out_grad.row(n);
    float* in_grad = args.in_grad.row(n);
    for (std::int64_t f = 0; f < args.out_grad.columns; ++f)
      in_grad[f] = valid ? out_grad[f] : 0.0F;
  }
}

void run(const CombineMasks& args) {
  for (std::int64_t n = 0; n < args.a.rows; ++n) {
    const std::uint8_t* a = args.a.row(n);
    const std::uint8_t* b = args.b.row(n);
    std::uint8_t* out = args.out.row(n);
    for (std::int64_t t = 0; t < args.a.columns; ++t) {
      out[t] = args.all ? (a[t] != 0 && b[t] != 0 ? 1 : 0) : (a[t] != 0 || b[t] != 0 ? 1 : 0);
    }
  }
}

void run(const MaskToWeight& args) {
  for (std::int64_t n = 0; n < args.mask.rows; ++n) {
    const std::uint8_t* mask = args.mask.row(n);
    float* weight = args.weight.row(n);
    for (std::int64_t t = 0; t < args.mask.columns; ++t) {
      const float given = args.sample_weight ? args.sample_weight.row(n)[t] : 1.0F;
      weight[t] = mask[t] != 0 ? given : 0.0F;
    }
  }
}

void run(const RowEnds& args) {
  for (std::int64_t n = 0; n < args.mask.rows; ++n) {
    std::uint8_t* mask = args.mask.row(n);
    for (std::int64_t t = 0; t < args.mask.columns; ++t) {
      mask[t] = args.ends == nullptr || t < args.ends[n] ? 1 : 0;
    }
  }
}

void run(const AverageTimeForward& args) {
  const std::int64_t rows = args.out.rows;
  const std::int64_t steps = rows == 0 ? 0 : args.in.rows / rows;
  for (std::int64_t b = 0; b < rows; ++b) {
    float* out = args.out.row(b);
    for (std::int64_t f = 0; f < args.out.columns; ++f) out[f] = 0;
    float count = 0;
    for (std::int64_t t = 0; t < steps; ++t) {
      if (args.mask && args.mask.row(b)[t] == 0) continue;
      const float* in = args.in.row(b * steps + t);
      for (std::int64_t f = 0; f < args.out.columns; ++f) out[f] += in[f];
      count += 1;
    }
    for (std::int64_t f = 0; f < args.out.columns; ++f) out[f] /= count;
  }
}

void run(const AverageTimeBackward& args) {
  const std::int64_t rows = args.out_grad.rows;
  const std::int64_t steps = rows == 0 ? 0 : args.in_grad.rows / rows;
  for (std::int64_t b = 0; b < rows; ++b) {
    float count = args.mask ? 0.0F : static_cast<float>(steps);
    for (std::int64_t t = 0; args.mask && t < steps; ++t)
      count += args.mask.row(b)[t] != 0 ? 1.0F : 0.0F;
    const float* out_grad = args.out_grad.row(b);
    for (std::int64_t t = 0; t < steps; ++t) {
      float* in_grad = args.in_grad.row(b * steps + t);
      const bool valid = !args.mask || args.mask.row(b)[t] != 0;
      for (std::int64_t f = 0; f < args.out_grad.columns; ++f) {
        // A row without a valid step is 0 / 0 going forward, and so it is going back.
        in_grad[f] = valid || count == 0 ? (valid ? out_grad[f] : 0.0F) / count : 0.0F;
      }
    }
  }
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
