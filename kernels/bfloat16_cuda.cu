// A thread rounds eight neighbouring elements of a row at a time; the last ones of a row may lie
// outside, and are 0 then.
#include "kernels/dense_library.hpp"
#include "kernels/simt/elements.hpp"
#include "kernels/simt/facade.hpp"

namespace braid::kernels {
namespace {

constexpr int kWidth = 8;

struct Rounding {
  Matrix<const float> in;
  std::uint16_t* out = nullptr;
  std::int64_t stride = 0;
  bool fours = false;  // rows of `in` may be read four elements at a time
};

__global__ void round_to_bfloat16_kernel(Rounding args) {
  for_elements<kWidth>(args.in.rows, args.stride, [&](std::int64_t n, std::int64_t c) {
    const float* const from = args.in.row(n) + c;
    const std::int64_t inside = args.in.columns - c;
    float4 low{};
    float4 high{};
    if (args.fours && inside >= kWidth) {
      low = ld_vec<float4>(from);
      high = ld_vec<float4>(from + 4);
    } else {
      const auto at = [&](int i) { return i < inside ? from[i] : 0.0F; };
      low = make_float4(at(0), at(1), at(2), at(3));
      high = make_float4(at(4), at(5), at(6), at(7));
    }
    const __nv_bfloat162 pairs[] = {
        __floats2bfloat162_rn(low.x, low.y), __floats2bfloat162_rn(low.z, low.w),
        __floats2bfloat162_rn(high.x, high.y), __floats2bfloat162_rn(high.z, high.w)};
    uint4 rounded;
    memcpy(&rounded, pairs, sizeof rounded);
    st_vec(args.out + n * args.stride + c, rounded);
  });
}

}  // namespace

namespace BRAID_GPU {

Matrix<const std::uint16_t> round_to_bfloat16(const Stream& stream, const Matrix<const float>& in,
                                              std::byte* memory) {
  const std::int64_t stride = bfloat16_stride(in.columns);
  auto* const out = reinterpret_cast<std::uint16_t*>(memory);
  const bool fours =
      reinterpret_cast<std::uintptr_t>(in.data) % sizeof(float4) == 0 && in.stride % 4 == 0;
  launch_kernel<round_to_bfloat16_kernel>(element_shape(in.rows * stride / kWidth), stream,
                                          Rounding{in, out, stride, fours});
  return {out, in.rows, in.columns, stride};
}

}  // namespace BRAID_GPU
}  // namespace braid::kernels
