#pragma once
#include <memory>

#include "kernels/product_library.hpp"
#include "tests/cublaslt_stand_in/stand_in.hpp"
#include "tests/support/kernel_launch.hpp"

namespace braid::testing {

// Gives the emulated device a library for products, for as long as it lives: the one that stands in
// for cuBLASLt.
class StandInLibrary {
 public:
  explicit StandInLibrary(std::int64_t least_size = 1);
  ~StandInLibrary();
  StandInLibrary(const StandInLibrary&) = delete;
  StandInLibrary& operator=(const StandInLibrary&) = delete;

  // Not where Braid was built without cuBLASLt's header, or where the file was left behind; says
  // so.
  bool is_there() const { return library_ != nullptr; }
  StandInControls& controls() const { return *controls_; }

 private:
  LaunchesAlone alone_;  // the products of a row program are its own
  std::unique_ptr<kernels::ProductLibrary> library_;
  StandInControls* controls_ = nullptr;
};

}  // namespace braid::testing
