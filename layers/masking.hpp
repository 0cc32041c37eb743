#pragma once
#include <string>

#include <braid/symbolic.hpp>

namespace braid::layers {

struct MaskingOptions {
  double mask_value = 0;
  std::string name = {};
};

// Steps [batch, T, F] whose features all equal mask_value become invalid (and zero). Replaces a
// mask that came in. As keras.layers.Masking; after an Embedding without mask_zero it masks only
// steps whose whole vector is mask_value, which hardly ever is what was meant: building warns.
class Masking : public Layer {
 public:
  explicit Masking(MaskingOptions options = {});
};

}  // namespace braid::layers
