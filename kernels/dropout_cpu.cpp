#include "kernels/dropout.hpp"

namespace braid::kernels {
namespace {

struct Four {
  std::uint32_t value[4];
};

// Philox4x32-10; the same numbers as engine/core/random.hpp, whose constexpr functions must not be
// shared between instruction sets.
inline Four philox_block(std::uint64_t key, std::uint64_t high, std::uint64_t low) {
  auto key_a = static_cast<std::uint32_t>(key);
  auto key_b = static_cast<std::uint32_t>(key >> 32);
  Four c{{static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32),
          static_cast<std::uint32_t>(high), static_cast<std::uint32_t>(high >> 32)}};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53U} * c.value[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57U} * c.value[2];
    c = {{static_cast<std::uint32_t>(b >> 32) ^ c.value[1] ^ key_a, static_cast<std::uint32_t>(b),
          static_cast<std::uint32_t>(a >> 32) ^ c.value[3] ^ key_b, static_cast<std::uint32_t>(a)}};
    key_a += 0x9E3779B9U;
    key_b += 0xBB67AE85U;
  }
  return c;
}

}  // namespace

namespace BRAID_CPU {

void run(const Dropout& args) {
  const float keep = 1.0F - args.rate;
  const float scale = keep > 0 ? 1.0F / keep : 0.0F;
  const std::uint64_t seed = args.state->seed ^ args.salt;
  const std::uint64_t step = args.state->step;
  std::uint64_t block_number = ~std::uint64_t{0};
  Four block{};
  for (std::int64_t n = 0; n < args.in.rows; ++n) {
    const float* in = args.in.row(n);
    float* out = args.out.row(n);
    for (std::int64_t c = 0; c < args.in.columns; ++c) {
      const auto element = static_cast<std::uint64_t>((args.first_row + n) * args.in.columns + c);
      if (element / 4 != block_number) {
        block_number = element / 4;
        block = philox_block(seed, step, block_number);
      }
      const float uniform = static_cast<float>(block.value[element % 4] >> 8) * 0x1p-24F;
      out[c] = uniform < args.rate ? 0.0F : in[c] * scale;
    }
  }
}

}  // namespace BRAID_CPU
}  // namespace braid::kernels
