#pragma once
#include <cstring>

#include "kernels/precision.hpp"
#include "kernels/simt/facade.hpp"

// How a warp hands its operands to a GPU's matrix units: rounded on the way from shared memory,
// where they wait as float32. Tile says where an element of a tile lies: place(across, along).
namespace braid::kernels {
namespace {

template <Precision precision>
struct MatrixOperands;

// Register i of a block's A holds row group + 8 (i % 2), place within + 4 (i / 2) of the depth, and
// register i of B place within + 4 i; a lane is group * 4 + within.
template <>
struct MatrixOperands<Precision::tf32> {
  static constexpr int kDepth = 8;
  // Gaps after which the lanes of a warp read from all banks.
  static constexpr int kGapAlong = 4;
  static constexpr int kGapAcross = 8;

  // One place of the depth, and none of the next.
  static __device__ unsigned word(float first, float) { return to_tf32(first); }
  template <class Tile>
  static __device__ unsigned load(const float* tile, int across, int k, int half, int within) {
    return to_tf32(tile[Tile::place(across, k + 4 * half + within)]);
  }
  static __device__ void multiply(float (&sums)[4], const unsigned (&a)[4],
                                  const unsigned (&b)[2]) {
    mma_m16n8k8_tf32(sums, a, b);
  }
};

// The same with pairs: register i holds places 2 within + 8 (i / 2) and the next one.
template <>
struct MatrixOperands<Precision::bfloat16> {
  static constexpr int kDepth = 16;
  static constexpr int kGapAlong = 8;
  static constexpr int kGapAcross = 4;

  static __device__ unsigned word(float first, float second) {
    const __nv_bfloat162 operands = __floats2bfloat162_rn(first, second);
    unsigned both;
    memcpy(&both, &operands, sizeof both);
    return both;
  }
  template <class Tile>
  static __device__ unsigned load(const float* tile, int across, int k, int half, int within) {
    const int first = k + 8 * half + 2 * within;
    float2 pair;
    if constexpr (Tile::kAlongDepth) {
      pair = ld_vec<float2>(tile + Tile::place(across, first));
    } else {
      pair.x = tile[Tile::place(across, first)];
      pair.y = tile[Tile::place(across, first + 1)];
    }
    return word(pair.x, pair.y);
  }
  static __device__ void multiply(float (&sums)[4], const unsigned (&a)[4],
                                  const unsigned (&b)[2]) {
    mma_m16n8k16_bf16(sums, a, b);
  }
};

}  // namespace
}  // namespace braid::kernels
