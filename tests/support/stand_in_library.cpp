#include "tests/support/stand_in_library.hpp"

#include <dlfcn.h>

#include <iostream>
#include <utility>

#include "kernels/simt/emulated_library.hpp"
#include "kernels/simt/emulated_stream.hpp"

namespace braid::testing {
namespace {

#if defined(BRAID_CUBLASLT_STAND_IN)
constexpr const char* kFile = BRAID_CUBLASLT_STAND_IN;
#else
constexpr const char* kFile = "";
#endif

StandInControls* find_controls() {
  void* const file = dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
  if (file == nullptr) return nullptr;
  auto* const controls =
      reinterpret_cast<decltype(&braid_stand_in_controls)>(dlsym(file, "braid_stand_in_controls"));
  return controls == nullptr ? nullptr : controls();
}

}  // namespace

StandInLibrary::StandInLibrary(std::int64_t least_size)
    : library_(*kFile == '\0' ? nullptr : kernels::ProductLibrary::open({kFile}, least_size)) {
  if (library_ == nullptr) {
    std::cout << "skipped: the library that stands in for cuBLASLt is not there\n";
    return;
  }
  controls_ = find_controls();
  const int handles = controls_->descriptors;
  *controls_ = {};
  controls_->descriptors = handles;
  controls_->put_in_stream = [](void* stream, std::function<void()> work) {
    if (!simt::only_plans(stream)) simt::in_stream(stream, std::move(work));
  };
  simt::set_emulated_product_library(library_.get());
}

StandInLibrary::~StandInLibrary() { simt::set_emulated_product_library(nullptr); }

}  // namespace braid::testing
