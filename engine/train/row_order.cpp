#include "engine/train/row_order.hpp"

#include <algorithm>
#include <iterator>

#include "engine/runtime/parallel.hpp"
#include "kernels/launch.hpp"

namespace braid {
namespace {

constexpr std::int64_t kRowsOfPiece = 1 << 15;

}  // namespace

bool same(const Shuffle& a, const Shuffle& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  const auto equal = [](const kernels::ShuffleRound& one, const kernels::ShuffleRound& other) {
    return one.sum == other.sum && one.key == other.key;
  };
  return a->rows == b->rows &&
         std::equal(std::begin(a->rounds), std::end(a->rounds), std::begin(b->rounds), equal);
}

void write_order(const Shuffle& shuffle, std::vector<std::int64_t>& order) {
  const std::int64_t rows = shuffle ? shuffle->rows : 0;
  order.resize(static_cast<std::size_t>(rows));
  parallel_for((rows + kRowsOfPiece - 1) / kRowsOfPiece, [&](std::int64_t number, int) {
    kernels::ShuffleRows piece = *shuffle;
    piece.first = number * kRowsOfPiece;
    piece.count = std::min(kRowsOfPiece, rows - piece.first);
    piece.order = order.data() + piece.first;
    kernels::launch(kernels::Stream{}, piece);
  });
}

}  // namespace braid
