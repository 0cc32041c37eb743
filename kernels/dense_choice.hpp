#pragma once
#include <algorithm>

#include "kernels/dense_float32.hpp"
#include "kernels/dense_kernel.hpp"
#include "kernels/dense_matrix_units.hpp"
#include "kernels/simt/matrix_units.hpp"

// Which tile a dense product takes. All tiles give the same bits at the same precision, so the
// choice is one of time alone.
namespace braid::kernels {
namespace {

struct DenseChoice {
  std::int64_t tiles;  // of the result
  double cost;         // cycles for one place of the depth, of a multiprocessor with one block
  void (*launch)(const Stream&, const DenseProduct&, std::int64_t parts);
};

template <class Tile>
DenseChoice choice(const DenseProduct& args, double cost) {
  return {tiles_of<Tile>(args), cost, launch_dense<Tile>};
}

// The busiest multiprocessor ends last. The costs count instructions and reads of shared memory.
inline void launch_cheapest(const Stream& stream, const DenseProduct& args, std::int64_t parts,
                            std::initializer_list<DenseChoice> choices) {
  constexpr std::int64_t kMultiprocessors = 132;
  const auto time = [&](const DenseChoice& choice) {
    const std::int64_t blocks = choice.tiles * parts;
    const std::int64_t most = (blocks + kMultiprocessors - 1) / kMultiprocessors;
    return static_cast<double>(most) * choice.cost;
  };
  const DenseChoice& best = *std::min_element(
      choices.begin(), choices.end(),
      [&](const DenseChoice& a, const DenseChoice& b) { return time(a) < time(b); });
  best.launch(stream, args, parts);
}

template <Neighbours a, Neighbours b>
void launch_float32(const Stream& stream, const DenseProduct& args, std::int64_t parts) {
  launch_cheapest(
      stream, args, parts,
      {choice<LargeFloat32Tile<a, b>>(args, 136), choice<MiddleFloat32Tile<a, b>>(args, 36),
       choice<SmallFloat32Tile<a, b>>(args, 11), choice<FewRowsFloat32Tile<a, b>>(args, 4.5),
       choice<FewColumnsFloat32Tile<a, b>>(args, 4.6)});
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
