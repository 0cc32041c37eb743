#pragma once
#include "kernels/elementwise.hpp"
#include "kernels/host_device.hpp"

// What two operands become, and the slopes of that, element by element.
namespace braid::kernels {
namespace {

template <BinaryKind kind>
BRAID_HOST_DEVICE inline float combine(float a, float b) {
  if constexpr (kind == BinaryKind::add) return a + b;
  if constexpr (kind == BinaryKind::subtract) return a - b;
  if constexpr (kind == BinaryKind::multiply) return a * b;
  if constexpr (kind == BinaryKind::divide) return a / b;
  if constexpr (kind == BinaryKind::maximum) return a > b || a != a ? a : b;
  if constexpr (kind == BinaryKind::minimum) return a < b || a != a ? a : b;
}

// An invalid element is left out: 1 in a product, the other operand in a maximum or minimum.
template <BinaryKind kind>
BRAID_HOST_DEVICE inline float combine_valid(float a, float b, bool a_valid, bool b_valid) {
  if constexpr (kind == BinaryKind::multiply) return (a_valid ? a : 1.0F) * (b_valid ? b : 1.0F);
  if constexpr (kind == BinaryKind::maximum || kind == BinaryKind::minimum) {
    if (!b_valid) return a;
    if (!a_valid) return b;
  }
  return combine<kind>(a, b);
}

template <class Body>
BRAID_HOST_DEVICE inline void with_binary(BinaryKind kind, const Body& body) {
  switch (kind) {
    case BinaryKind::add: return body.template operator()<BinaryKind::add>();
    case BinaryKind::subtract: return body.template operator()<BinaryKind::subtract>();
    case BinaryKind::multiply: return body.template operator()<BinaryKind::multiply>();
    case BinaryKind::divide: return body.template operator()<BinaryKind::divide>();
    case BinaryKind::maximum: return body.template operator()<BinaryKind::maximum>();
    case BinaryKind::minimum: return body.template operator()<BinaryKind::minimum>();
  }
}

// d out / d self.
BRAID_HOST_DEVICE inline float slope_of(BinaryKind kind, bool first, float self, float other,
                                        bool self_valid, bool other_valid) {
  switch (kind) {
    case BinaryKind::add: return 1;
    case BinaryKind::subtract: return first ? 1.0F : -1.0F;
    case BinaryKind::multiply: return self_valid ? (other_valid ? other : 1.0F) : 0.0F;
    case BinaryKind::divide: return first ? 1.0F / other : -other / self / self;
    case BinaryKind::maximum:
    case BinaryKind::minimum: break;
  }
  if (!self_valid && !other_valid) return first ? 1 : 0;
  if (!self_valid) return 0;
  if (!other_valid) return 1;
  if (self == other) return 0.5F;
  return (self > other) == (kind == BinaryKind::maximum) ? 1 : 0;
}

// Towards zero; what is no int32 becomes the lowest one.
BRAID_HOST_DEVICE inline std::int32_t id_of(float x) {
  const bool fits = x >= -2147483648.0F && x < 2147483648.0F;
  return fits ? static_cast<std::int32_t>(x) : INT32_MIN;
}

}  // namespace
}  // namespace braid::kernels
