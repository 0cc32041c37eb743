// The check that main.cpp makes after a whole run: every kernel was launched by some test. And how
// operands come to a device and back.
#include <cstdint>
#include <stdexcept>

#include "kernels/elementwise.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"

using namespace braid;
using namespace braid::testing;

TEST_CASE("kernel launch: a kernel is found where its header declares it") {
  CHECK(
      kernels_declared_in("struct Copy {};\nBRAID_KERNEL(Copy)\n\nstruct Fill {\n};\n"
                          "BRAID_KERNEL(Fill)\n// BRAID_KERNEL(Old)\n#define BRAID_KERNEL(x)\n") ==
      std::vector<std::string>{"Copy", "Fill"});
}

TEST_CASE("kernel launch: a kernel that no test launches is missed by name, on each backend") {
  const std::vector<Backend> backends{Backend::portable, Backend::avx2};
  const Launches launches{
      {"Copy", Backend::portable}, {"Copy", Backend::avx2}, {"Fill", Backend::avx2}};
  CHECK(never_launched({"Copy"}, backends, launches).empty());
  CHECK(never_launched({"Copy", "Fill", "Turn"}, backends, launches) ==
        std::vector<std::string>{"Fill on portable", "Turn on portable", "Turn on avx2"});
}

TEST_CASE("kernel launch: a device works on copies of the operands, which come back") {
  KernelMemory<float> memory(40, 1.0F);
  const kernels::Fill fill{.out = {memory.data() + 3, 2, 4, 10}, .value = 5};
  DeviceOperands operands(Backend::emulated);
  const kernels::Fill there = operands.moved(fill);
  CHECK(there.out.data != fill.out.data);
  CHECK(reinterpret_cast<std::uintptr_t>(there.out.data) % 256 ==
        reinterpret_cast<std::uintptr_t>(fill.out.data) % 256);
  kernels::launch(operands.stream(), there);
  CHECK(memory == KernelMemory<float>(40, 1.0F));
  operands.bring_back();
  for (std::size_t i = 0; i < memory.size(); ++i)
    CHECK(memory[i] == ((i >= 3 && i < 7) || (i >= 13 && i < 17) ? 5.0F : 1.0F));
}

TEST_CASE("kernel launch: an operand that no device could reach is refused, not launched") {
  std::vector<float> memory(8, 1.0F);
  const kernels::Fill fill{.out = {memory.data(), 1, 8, 8}, .value = 5};
  CHECK_THROWS_AS(launch_on(Backend::emulated, fill), std::logic_error);
  CHECK(memory == std::vector<float>(8, 1.0F));
}
