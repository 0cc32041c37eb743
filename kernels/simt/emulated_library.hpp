#pragma once

namespace braid::kernels {
class ProductLibrary;
}

namespace braid::simt {

// The emulated device has a library for large products only while a test gives it one.
kernels::ProductLibrary* emulated_product_library();
void set_emulated_product_library(kernels::ProductLibrary* library);

}  // namespace braid::simt
