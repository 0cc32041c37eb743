#include "kernels/shuffle.hpp"

#include <algorithm>

#include "kernels/shuffle_round.hpp"

namespace braid::kernels {
namespace BRAID_CPU {
namespace {

// Rows that go through the rounds together: one vector or a few.
constexpr std::int64_t kTogether = 32;

template <class Word>
void shuffle(const ShuffleRows& args) {
  const auto rows = static_cast<Word>(args.rows);
  for (std::int64_t begin = 0; begin < args.count; begin += kTogether) {
    const std::int64_t count = std::min(kTogether, args.count - begin);
    Word together[kTogether];
    for (std::int64_t i = 0; i < kTogether; ++i)
      together[i] = static_cast<Word>(args.first + begin + std::min(i, count - 1));
    for (const ShuffleRound& round : args.rounds) {
      for (Word& row : together) row = after_round(row, round, rows);
    }
    for (std::int64_t i = 0; i < count; ++i)
      args.order[begin + i] = static_cast<std::int64_t>(together[i]);
  }
}

}  // namespace

void run(const ShuffleRows& args) {
  if (fits_32_bits(args)) {
    shuffle<std::uint32_t>(args);
  } else {
    shuffle<std::uint64_t>(args);
  }
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
