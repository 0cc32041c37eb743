// The kernels of GPUs as a whole: which are there.
#include <iostream>

#include "kernels/gpu_table.hpp"
#include "tests/support/catch.hpp"

using namespace braid::kernels;

TEST_CASE("gpu kernels: each one is there, but for those of the list of missing ones") {
  std::string missing;
  for (const GpuTableEntry& entry : emulated::table_of_kernels()) {
    INFO(entry.arguments << ": listed in kernels/missing_on_gpu.txt, and there");
    CHECK_FALSE((entry.listed_as_missing && entry.present));
    if (entry.listed_as_missing)
      missing += std::string(missing.empty() ? "" : ", ") + entry.arguments;
  }
  if (!missing.empty()) std::cout << "GPU kernels still missing: " << missing << '\n';
}
