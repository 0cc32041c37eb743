#pragma once
#include <array>
#include <cstdint>

namespace braid {

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): four numbers
// from a key and a counter, the same on every device and in any order.
constexpr std::array<std::uint32_t, 4> philox(std::uint64_t key, std::uint64_t counter_high,
                                              std::uint64_t counter_low) {
  constexpr std::uint32_t kMultiplierA = 0xD2511F53U;
  constexpr std::uint32_t kMultiplierB = 0xCD9E8D57U;
  constexpr std::uint32_t kWeylA = 0x9E3779B9U;
  constexpr std::uint32_t kWeylB = 0xBB67AE85U;
  auto key_a = static_cast<std::uint32_t>(key);
  auto key_b = static_cast<std::uint32_t>(key >> 32);
  std::array<std::uint32_t, 4> c{
      static_cast<std::uint32_t>(counter_low), static_cast<std::uint32_t>(counter_low >> 32),
      static_cast<std::uint32_t>(counter_high), static_cast<std::uint32_t>(counter_high >> 32)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{kMultiplierA} * c[0];
    const std::uint64_t b = std::uint64_t{kMultiplierB} * c[2];
    c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ key_a, static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ key_b, static_cast<std::uint32_t>(a)};
    key_a += kWeylA;
    key_b += kWeylB;
  }
  return c;
}

// In [0, 1), from the upper 24 bits: every value is exact in float32.
constexpr float uniform_from(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24F;
}

// A stream of numbers from one seed: one after another on the host, where order is fixed anyway
// (weights, shuffles).
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  std::uint32_t bits();
  // In [0, 1).
  float uniform() { return uniform_from(bits()); }
  // Mean 0, deviation 1 (Box-Muller).
  double normal();
  // In 0 .. limit - 1, without bias; limit > 0.
  std::uint64_t below(std::uint64_t limit);

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t counter_ = 0;
  std::array<std::uint32_t, 4> block_{};
  int used_ = 4;
};

// Seeds everything random that follows: initial weights, shuffles, dropout. Until it is called the
// seed is drawn from the operating system.
void set_random_seed(std::uint64_t seed);

// A fresh seed derived from the global one and the number of seeds derived before; for a model's
// weights, a fit's shuffles.
std::uint64_t next_seed();

}  // namespace braid
