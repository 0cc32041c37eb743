#pragma once
#include <cstdint>
#include <vector>

// One kernel for each wrapper of the facade: 64 threads, or blocks of so many, run the instruction
// on given words and write what came out. The emulated device and a GPU must give the same bits.
namespace braid::samples {

constexpr int kContractThreads = 64;
constexpr int kContractWords = 16;  // of each thread, in and out

struct Contract {
  const char* name;
  void (*run)(const std::uint32_t* in, std::uint32_t* out);  // where the kernel runs
};
namespace emulated {
std::vector<Contract> every_contract();
// Runs a kernel on words of the host.
std::vector<std::uint32_t> outcome(const Contract& contract, const std::vector<std::uint32_t>& in);
}  // namespace emulated
namespace cuda {
std::vector<Contract> every_contract();
std::vector<std::uint32_t> outcome(const Contract& contract, const std::vector<std::uint32_t>& in);
}  // namespace cuda

}  // namespace braid::samples
