#pragma once
#include <cstdint>
#include <map>
#include <string>

// A recorded training step of a reference model on the emulated device, as it is replayed.
namespace braid::testing {

struct KernelOfStep {
  std::int64_t launches = 0;
  std::int64_t bytes_read = 0;  // 0 but in the race flavour
  std::int64_t bytes_written = 0;
};
// By the name of the kernel; what is no kernel of the GPU (copies, fills, kernels of the CPU that
// stand in for missing ones) counts as "other", and nobody sees what it moves.
using ReplayedStep = std::map<std::string, KernelOfStep>;

// Of a batch of the table's bytes.
constexpr std::int64_t kRowsOfTable = 32;
ReplayedStep replayed_step(const std::string& model, std::int64_t rows);
KernelOfStep total_of(const ReplayedStep& step);
// Bytes that no way to compute such a step can avoid.
std::int64_t least_bytes_of_step(const std::string& model, std::int64_t rows);

}  // namespace braid::testing
