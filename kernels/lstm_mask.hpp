#pragma once
#include "kernels/host_device.hpp"
#include "kernels/lstm.hpp"

// Which steps of an LSTM are valid, as all backends see it.
namespace braid::kernels {

struct LstmMask {
  Matrix<const std::uint8_t> mask;
  Matrix<const std::int32_t> ids;
  std::int32_t padding = kNoId;

  // Whether there is anything that could mask a step.
  BRAID_HOST_DEVICE bool is_there() const { return mask.data != nullptr || has_padding(); }
  BRAID_HOST_DEVICE bool has_padding() const { return ids.data != nullptr && padding >= 0; }
  BRAID_HOST_DEVICE bool is_valid(std::int64_t row, std::int64_t step) const {
    if (mask.data != nullptr && mask.row(row)[step] == 0) return false;
    return !has_padding() || ids.row(row)[step] != padding;
  }
};

template <class Arguments>
BRAID_HOST_DEVICE inline LstmMask lstm_mask(const Arguments& args) {
  return {args.mask, args.ids, args.padding};
}

}  // namespace braid::kernels
