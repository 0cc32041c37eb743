#pragma once
#include "kernels/lstm_gates.hpp"
#include "kernels/lstm_gpu.hpp"
#include "kernels/lstm_products.hpp"

// Which of the compiled kernels a launch takes, forward and backward alike.
namespace braid::kernels {
namespace {

// run.operator()<kUnits>(), where blocks can keep the recurrent weights of so many units; false,
// and nothing is run, where they cannot. Those of the most units need shared memory for it.
template <class Run>
bool with_persistent_units(std::int64_t units, std::int64_t shared_bytes, const Run& run) {
  if (units <= 32) {
    run.template operator()<32>();
  } else if (units <= kUnitsInRegisters) {
    run.template operator()<64>();
  } else if (units <= kPersistentUnits && shared_bytes_of_block() >= shared_bytes) {
    run.template operator()<128>();
  } else {
    return false;
  }
  return true;
}

// run.operator()<kUnits, rows of a block, default functions>(). With other functions a block takes
// kOtherRows, as many as its registers hold.
template <int kUnits, int kOtherRows, class Arguments, class Run>
void with_rows_of_block(const Arguments& args, const Run& run) {
  if (!has_default_functions(args)) return run.template operator()<kUnits, kOtherRows, false>();
  switch (lstm_rows_of_block(args.shape)) {
    case 1: return run.template operator()<kUnits, 1, true>();
    case 2: return run.template operator()<kUnits, 2, true>();
    default: return run.template operator()<kUnits, 4, true>();
  }
}

// run.operator()<tile, default functions>(), for steps that are products with so many columns.
template <class Tile, class Arguments, class Run>
void with_functions(const Arguments& args, const Run& run) {
  if (has_default_functions(args)) {
    run.template operator()<Tile, true>();
  } else {
    run.template operator()<Tile, false>();
  }
}
template <class Arguments, class Run>
void with_tile_of_step(const Arguments& args, std::int64_t columns, const Run& run) {
  if (fills_large_tiles(args.shape.rows, columns)) {
    with_functions<LargeTile>(args, run);
  } else {
    with_functions<SmallTile>(args, run);
  }
}

}  // namespace
}  // namespace braid::kernels
