#include "kernels/simt/emulated_library.hpp"

#include <atomic>

namespace braid::simt {
namespace {
std::atomic<kernels::ProductLibrary*> library{nullptr};
}

kernels::ProductLibrary* emulated_product_library() { return library; }
void set_emulated_product_library(kernels::ProductLibrary* given) { library = given; }

}  // namespace braid::simt
