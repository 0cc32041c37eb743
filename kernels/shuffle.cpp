#include "kernels/shuffle.hpp"

#include "engine/core/random.hpp"

namespace braid::kernels {

ShuffleRows shuffle_of(std::int64_t rows, std::uint64_t seed, std::uint64_t stream) {
  ShuffleRows shuffle{.count = rows, .rows = rows};
  if (rows == 0) return shuffle;
  std::uint64_t number = 0;
  for (ShuffleRound& round : shuffle.rounds) {
    const auto [sum_high, sum_low, key_high, key_low] = philox(seed, stream, number++);
    // Among 2^64 numbers the few too many for some remainders do not show.
    const std::uint64_t sum = std::uint64_t{sum_high} << 32U | sum_low;
    round.sum = static_cast<std::int64_t>(sum % static_cast<std::uint64_t>(rows));
    round.key = std::uint64_t{key_high} << 32U | key_low;
  }
  return shuffle;
}

}  // namespace braid::kernels
