#pragma once
#include <algorithm>

#include "kernels/dense_kernel.hpp"
#include "kernels/dense_matrix_units.hpp"
#include "kernels/dense_unrolled.hpp"
#include "kernels/simt/matrix_units.hpp"

// Which tile a dense product takes. All tiles give the same bits at the same precision, so the
// choice is one of time alone.
namespace braid::kernels {
namespace {

struct DenseChoice {
  std::int64_t tiles;  // of the result
  double busy;         // as a DenseTileCost
  double alone;
  void (*launch)(const Stream&, const DenseProduct&, std::int64_t parts);
};

template <class Tile>
DenseChoice choice(const DenseProduct& args, double cost) {
  return {tiles_of<Tile>(args), cost, cost, launch_dense<Tile>};
}

template <class Tile>
DenseChoice choice(const DenseProduct& args, const DenseTileCost& cost) {
  return {tiles_of<Tile>(args), cost.busy, cost.alone, launch_dense<Tile>};
}

inline void launch_cheapest(const Stream& stream, const DenseProduct& args, std::int64_t parts,
                            std::initializer_list<DenseChoice> choices) {
  const auto time = [&](const DenseChoice& choice) {
    return dense_cycles_of_place(choice.tiles * parts, choice.busy, choice.alone);
  };
  const DenseChoice& best = *std::min_element(
      choices.begin(), choices.end(),
      [&](const DenseChoice& a, const DenseChoice& b) { return time(a) < time(b); });
  best.launch(stream, args, parts);
}

template <Neighbours a, Neighbours b>
void launch_float32(const Stream& stream, const DenseProduct& args, std::int64_t parts) {
  using Large = UnrolledTile<a, b, 64, 64, 32, 3, 8, 4>;
  using Small = UnrolledTile<a, b, 32, 32, 32, 4, 4, 2>;
  using FewRows = UnrolledTile<a, b, 16, 32, 64, 4, 2, 2>;
  using FewColumns = UnrolledTile<a, b, 32, 16, 64, 4, 2, 2>;
  launch_cheapest(
      stream, args, parts,
      {choice<Large>(args, kLargeTileCost), choice<Small>(args, kSmallTileCost),
       choice<FewRows>(args, kFewRowsTileCost), choice<FewColumns>(args, kFewColumnsTileCost)});
}

template <Precision precision, Neighbours a, Neighbours b>
void launch_on_matrix_units(const Stream& stream, const DenseProduct& args, std::int64_t parts) {
  using Large = MatrixUnitTile<precision, a, b, 128, 128, 16, 3, 64, 32>;
  using Middle = MatrixUnitTile<precision, a, b, 64, 64, 16, 4, 16, 32>;
  using Small = MatrixUnitTile<precision, a, b, 32, 32, 32, 4, 16, 8>;
  launch_cheapest(stream, args, parts,
                  {choice<Large>(args, 24), choice<Middle>(args, 12), choice<Small>(args, 6)});
}

// The depth is summed in `parts`, each of which writes a result of its own.
template <Neighbours a, Neighbours b>
void launch_product(const Stream& stream, DenseProduct args, Precision precision,
                    std::int64_t parts = 1) {
  find_alignment(args);
  if (parts == 1) args.depth_of_part = args.depth;
  if (!has_matrix_units()) precision = Precision::float32;
  switch (precision) {
    case Precision::float32: return launch_float32<a, b>(stream, args, parts);
    case Precision::tf32: return launch_on_matrix_units<Precision::tf32, a, b>(stream, args, parts);
    case Precision::bfloat16:
      return launch_on_matrix_units<Precision::bfloat16, a, b>(stream, args, parts);
  }
}

}  // namespace
}  // namespace braid::kernels
