#include "kernels/embedding.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace braid::kernels {
namespace BRAID_CPU {

void run(const EmbeddingForward& args) {
  const auto bytes = static_cast<std::size_t>(args.table.columns) * sizeof(float);
  for (std::int64_t b = 0; b < args.ids.rows; ++b) {
    const std::int32_t* ids = args.ids.row(b);
    for (std::int64_t t = 0; t < args.ids.columns; ++t) {
      float* to = args.out.row(b * args.ids.columns + t);
      if (ids[t] >= 0 && ids[t] < args.table.rows) {
        std::memcpy(to, args.table.row(ids[t]), bytes);
      } else {
        std::fill_n(to, args.table.columns, NAN);
      }
    }
  }
}

void run(const EmbeddingSort& args) {
  for (std::int64_t v = 0; v <= args.vocabulary; ++v) args.segments[v] = 0;
  const auto counts = [&](std::int64_t b, std::int64_t t) {
    return (!args.mask || args.mask.row(b)[t] != 0) && args.ids.row(b)[t] != args.padding;
  };
  // Counting sort: segment v counts in entry v, then starts there, then ends up one entry further.
  for (std::int64_t b = 0; b < args.ids.rows; ++b) {
    for (std::int64_t t = 0; t < args.ids.columns; ++t) {
      if (counts(b, t)) ++args.segments[args.ids.row(b)[t]];
    }
  }
  std::int32_t start = 0;
  for (std::int64_t v = 0; v <= args.vocabulary; ++v) {
    const std::int32_t count = args.segments[v];
    args.segments[v] = start;
    start += count;
  }
  for (std::int64_t b = 0; b < args.ids.rows; ++b) {
    for (std::int64_t t = 0; t < args.ids.columns; ++t) {
      if (!counts(b, t)) continue;
      args.order[args.segments[args.ids.row(b)[t]]++] =
          static_cast<std::int32_t>(b * args.ids.columns + t);
    }
  }
  // Each entry now holds the end of its segment, which is the start of the next.
  for (std::int64_t v = args.vocabulary; v > 0; --v) args.segments[v] = args.segments[v - 1];
  args.segments[0] = 0;
}

void run(const EmbeddingBackward& args) {
  const std::int64_t width = args.table_grad.columns;
  for (std::int64_t v = args.first; v < args.last; ++v) {
    float* grad = args.table_grad.row(v);
    std::memset(grad, 0, static_cast<std::size_t>(width) * sizeof(float));
    for (std::int32_t i = args.segments[v]; i < args.segments[v + 1]; ++i) {
      const float* out_grad = args.out_grad.row(args.order[i]);
#pragma GCC ivdep
      for (std::int64_t e = 0; e < width; ++e) grad[e] += out_grad[e];
    }
  }
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
