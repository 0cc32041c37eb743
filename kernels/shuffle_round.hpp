#pragma once
#include "kernels/host_device.hpp"
#include "kernels/shuffle.hpp"

// What happens to one row in one round of a shuffle, in numbers of 32 bits where they hold all
// rows.
namespace braid::kernels {
namespace {

// A bit that hangs on every bit of the number and of the key: two multiplications carry them
// upwards, the shift between them brings them down again. The constants are MurmurHash3's.
BRAID_HOST_DEVICE inline bool mixed_bit(std::uint32_t number, std::uint32_t key) {
  std::uint32_t bits = (number ^ key) * 0x85EBCA6BU;
  bits ^= bits >> 15U;
  return (bits * 0xC2B2AE35U) >> 31U != 0;
}
BRAID_HOST_DEVICE inline bool mixed_bit(std::uint64_t number, std::uint64_t key) {
  std::uint64_t bits = (number ^ key) * 0xFF51AFD7ED558CCDU;
  bits ^= bits >> 33U;
  return (bits * 0xC4CEB9FE1A85EC53U) >> 63U != 0;
}

template <class Word>
BRAID_HOST_DEVICE inline Word after_round(Word row, const ShuffleRound& round, Word rows) {
  const auto sum = static_cast<Word>(round.sum);
  const Word partner = row <= sum ? sum - row : sum - row + rows;
  const Word larger = row > partner ? row : partner;
  return mixed_bit(larger, static_cast<Word>(round.key)) ? partner : row;
}

inline bool fits_32_bits(const ShuffleRows& shuffle) { return shuffle.rows <= UINT32_MAX; }

}  // namespace
}  // namespace braid::kernels
