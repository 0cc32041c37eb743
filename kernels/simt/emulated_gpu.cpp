#include "kernels/simt/emulated_gpu.hpp"

#include <algorithm>
#include <string>

#include "engine/core/environment.hpp"
#include "engine/core/error.hpp"

namespace braid::simt {
namespace {

constexpr int kUsual = 90;
constexpr std::size_t kKilo = 1024;

// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
constexpr EmulatedGpu kGpus[] = {
    {75, 40, 1024, 16, 64 * kKilo, 64 * kKilo, 0},
    {80, 108, 2048, 32, 164 * kKilo, 163 * kKilo, kKilo},
    {86, 72, 1536, 16, 100 * kKilo, 99 * kKilo, kKilo},
    {89, 58, 1536, 24, 100 * kKilo, 99 * kKilo, kKilo},
    {kUsual, 132, 2048, 32, 228 * kKilo, 227 * kKilo, kKilo},
    {100, 148, 2048, 32, 228 * kKilo, 227 * kKilo, kKilo},
    {120, 170, 1536, 24, 100 * kKilo, 99 * kKilo, kKilo},
};

const EmulatedGpu* gpu_of(std::int64_t architecture) {
  const auto* const found = std::find_if(std::begin(kGpus), std::end(kGpus), [&](const auto& gpu) {
    return gpu.architecture == architecture;
  });
  if (found != std::end(kGpus)) return found;
  std::string known;
  for (const EmulatedGpu& gpu : kGpus) known += " " + std::to_string(gpu.architecture);
  throw RangeError("no GPU of architecture " + std::to_string(architecture) +
                   " is emulated; known are" + known);
}

const EmulatedGpu*& current() {
  static const EmulatedGpu* gpu =
      gpu_of(environment_number("BRAID_EMULATED_GPU", 0, 1000).value_or(kUsual));
  return gpu;
}

}  // namespace

const EmulatedGpu& emulated_gpu() { return *current(); }
void set_emulated_gpu(int architecture) { current() = gpu_of(architecture); }

void refuse_architecture(int first, const char* what, const Place& where) {
  fail(std::string("comes to ") + what + ", which GPUs have from architecture " +
           std::to_string(first) + " on, and this one is " +
           std::to_string(emulated_gpu().architecture),
       where);
}

}  // namespace braid::simt
