#pragma once
#include "kernels/lstm_gpu.hpp"

namespace braid::testing {

// The LSTM's kernels are cut for this device until the end of the scope.
class LstmCutScope {
 public:
  explicit LstmCutScope(const kernels::LstmCut& cut) { kernels::lstm_cut = cut; }
  ~LstmCutScope() { kernels::lstm_cut = before_; }
  LstmCutScope(const LstmCutScope&) = delete;
  LstmCutScope& operator=(const LstmCutScope&) = delete;

 private:
  kernels::LstmCut before_ = kernels::lstm_cut;
};

}  // namespace braid::testing
