#pragma once
#include "kernels/dense_float32.hpp"

// Tiles of float32 for kernels that do nothing else: the code of a whole stage stands in a row, and
// the next places of the depth are asked for while those before them are added.
namespace braid::kernels {
namespace {

template <Neighbours of_a, Neighbours of_b, int kTileRows, int kTileColumns, int kTileDepth,
          int kPipeline, int kThreadRows, int kThreadColumns>
struct UnrolledTile : Float32Tile<of_a, of_b, kTileRows, kTileColumns, kTileDepth, kPipeline,
                                  kThreadRows, kThreadColumns> {
  using Base = Float32Tile<of_a, of_b, kTileRows, kTileColumns, kTileDepth, kPipeline, kThreadRows,
                           kThreadColumns>;
  using Base::kAlongA;
  using Base::kAlongB;
  using Base::kColumnsAtOnce;
  using Base::kDepth;
  using Base::kRowsAtOnce;
  using Base::kThreads;
  // 128 registers for each thread.
  static constexpr int kBlocksOfMultiprocessor = 512 / kThreads;
  // Places in registers, of which there are two sets.
  static constexpr int kStep = Base::kSums >= 32 ? 2 : (Base::kSums >= 8 ? 4 : 8);
  using A = DenseTile<of_a, kTileRows, kTileDepth, kAlongA ? 4 : 8, kThreads, true>;
  using B = DenseTile<of_b, kTileColumns, kTileDepth, kAlongB ? 4 : 8, kThreads, true>;

  // The last stage, of which not all is there.
  __device__ void multiply(const float* a, const float* b, int depth) {
    SIMT_NO_UNROLL
    for (int k = 0; k < depth; k += kStep) {
      Places places;
      load(a, b, k, places);
      add(places);
    }
  }
  __device__ void multiply_stage(const float* a, const float* b) {
    Places places[2];
    load(a, b, 0, places[0]);
    SIMT_UNROLL
    for (int k = 0; k < kDepth; k += kStep) {
      if (k + kStep < kDepth) load(a, b, k + kStep, places[(k / kStep + 1) % 2]);
      add(places[k / kStep % 2]);
    }
  }

 private:
  struct Places {
    float left[kThreadRows][kStep];
    float right[kThreadColumns][kStep];
  };

  __device__ void load(const float* a, const float* b, int k, Places& places) const {
    load_operand<A, kRowsAtOnce>(a, k, places.left, [this](int i) { return this->row_of(i); });
    load_operand<B, kColumnsAtOnce>(b, k, places.right,
                                    [this](int j) { return this->column_of(j); });
  }
  template <class Operand, int kAtOnce, int kOfThread, class Across>
  __device__ static void load_operand(const float* from, int k, float (&to)[kOfThread][kStep],
                                      const Across& across) {
    constexpr int kPlacesAtOnce = Operand::kAlongDepth ? (kStep < 4 ? kStep : 4) : 1;
    SIMT_UNROLL
    for (int step = 0; step < kStep; step += kPlacesAtOnce) {
      SIMT_UNROLL
      for (int i = 0; i < kOfThread; i += kAtOnce) {
        float values[kAtOnce * kPlacesAtOnce];
        load_floats(from + Operand::place(across(i), k + step), values);
        SIMT_UNROLL
        for (int more = 0; more < kAtOnce * kPlacesAtOnce; ++more)
          to[i + more / kPlacesAtOnce][step + more % kPlacesAtOnce] = values[more];
      }
    }
  }
  __device__ void add(const Places& places) {
    SIMT_UNROLL
    for (int step = 0; step < kStep; ++step) {
      SIMT_UNROLL
      for (int i = 0; i < kThreadRows; ++i) {
        SIMT_UNROLL
        for (int j = 0; j < kThreadColumns; ++j)
          this->add_product(i, j, places.left[i][step], places.right[j][step]);
      }
    }
  }
};

}  // namespace
}  // namespace braid::kernels
