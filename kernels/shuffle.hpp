#pragma once
#include "kernels/backend.hpp"

namespace braid::kernels {

// One round of a shuffle. Row r and row (sum - r) modulo the number of rows are partners: each
// other's, or a row its own.
struct ShuffleRound {
  std::int64_t sum = 0;   // 0 .. rows - 1
  std::uint64_t key = 0;  // decides which partners change places
};

// order[i] = what stands at place first + i when `rows` rows are shuffled: a permutation, of which
// every place can be worked out alone. The card shuffle "swap or not" (Hoang, Morris, Rogaway, "An
// enciphering scheme based on a card shuffle", 2012): a row goes through all rounds, in each of
// which a bit mixed from the key and the larger number of the two says whether it becomes its
// partner.
//
// After 32 rounds a given row has never moved with probability 2^-32, so that orders of few rows
// come equally often and neighbours part. A Feistel network over a power of two does not reach
// that for few rows, whatever its rounds: its permutations of 16 are all even ones.
constexpr int kShuffleRounds = 32;
struct ShuffleRows {
  std::int64_t* order = nullptr;  // [count]  overwritten
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t rows = 0;
  ShuffleRound rounds[kShuffleRounds];
};
BRAID_KERNEL(ShuffleRows)

// A whole shuffle, without where its order goes. Rounds are drawn from stream `stream` of the seed.
ShuffleRows shuffle_of(std::int64_t rows, std::uint64_t seed, std::uint64_t stream);

}  // namespace braid::kernels
