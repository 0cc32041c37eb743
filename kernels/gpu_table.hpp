#pragma once
#include <vector>

#include "kernels/launch.hpp"

namespace braid::kernels {

// One kernel that a header declares.
struct GpuTableEntry {
  const char* arguments;   // name of the struct
  bool listed_as_missing;  // in missing_on_gpu.txt
  bool present;
};

// These functions also enter the kernels into GpuVariants. A program has those that it links.
namespace emulated {
std::vector<GpuTableEntry> table_of_kernels();
}
namespace cuda {
std::vector<GpuTableEntry> table_of_kernels();
bool device_answers();
// Offers the GPUs that answer as devices of models.
void add_devices();
}  // namespace cuda

// From now on is_supported asks this function about the backend.
void add_backend(Backend backend, bool (*answers)());

}  // namespace braid::kernels
