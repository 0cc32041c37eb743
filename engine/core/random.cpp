#include "engine/core/random.hpp"

#include <cmath>
#include <mutex>
#include <numbers>
#include <optional>
#include <random>

namespace braid {
namespace {

std::mutex global_mutex;
std::optional<std::uint64_t> global_seed;
std::uint64_t derived_seeds = 0;

}  // namespace

std::uint32_t Random::bits() {
  if (used_ == 4) {
    block_ = philox(seed_, stream_, counter_++);
    used_ = 0;
  }
  return block_[static_cast<std::size_t>(used_++)];
}

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log((static_cast<double>(bits()) + 1.0) * 0x1p-32));
  return radius * std::cos(2.0 * std::numbers::pi * static_cast<double>(bits()) * 0x1p-32);
}

std::uint64_t Random::below(std::uint64_t limit) {
  // Numbers past the last whole multiple of the limit would favour small results: draw again.
  const std::uint64_t whole = UINT64_MAX - UINT64_MAX % limit;
  for (;;) {
    const std::uint64_t high = bits();
    const std::uint64_t number = high << 32 | bits();
    if (number < whole) return number % limit;
  }
}

void set_random_seed(std::uint64_t seed) {
  const std::lock_guard lock(global_mutex);
  global_seed = seed;
  derived_seeds = 0;
}

std::uint64_t next_seed() {
  const std::lock_guard lock(global_mutex);
  if (!global_seed) {
    std::random_device entropy;
    global_seed = static_cast<std::uint64_t>(entropy()) << 32 | entropy();
  }
  const auto block = philox(*global_seed, 0x5EED, derived_seeds++);
  return static_cast<std::uint64_t>(block[0]) << 32 | block[1];
}

}  // namespace braid
