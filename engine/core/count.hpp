#pragma once
#include <concepts>
#include <cstdint>

namespace braid {

// A number of things: takes any integer type without a narrowing warning.
class Count {
 public:
  constexpr Count() = default;
  template <std::integral Integer>
  constexpr Count(Integer value) : value_(static_cast<std::int64_t>(value)) {}
  constexpr operator std::int64_t() const { return value_; }

 private:
  std::int64_t value_ = 0;
};

}  // namespace braid
