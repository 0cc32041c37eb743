// The check that main.cpp makes after a whole run: every kernel was launched by some test. And how
// operands come to a device and back.
#include <cstdint>
#include <stdexcept>

#include "kernels/elementwise.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/kernel_proof.hpp"

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

TEST_CASE("kernel launch: a function of a GPU is missed that ran never, or not in every order") {
  const std::string here = "braid::kernels::{anonymous}::";
  const simt::LaunchRecord forward{.launches = 9,
                                   .orders = 1U << static_cast<unsigned>(simt::Order::forward)};
  const simt::LaunchRecord all{.launches = 3, .orders = 7};
  const std::map<std::string, simt::LaunchRecord> records{{here + "copy_kernel<4>", all},
                                                          {here + "fill_kernel", forward}};
  CHECK(not_proven({"copy_kernel", "fill_kernel", "turn_kernel"}, records) ==
        std::vector<std::string>{
            "no test executes the threads of the GPU's fill_kernel in reverse",
            "no test executes the threads of the GPU's fill_kernel in random order",
            "no test executes the GPU's turn_kernel"});
  CHECK(instances_never_executed({here + "copy_kernel<1>", here + "copy_kernel<4>",
                                  here + "fill_kernel", "braid::samples::{anonymous}::sum_kernel"},
                                 records) == std::vector<std::string>{"copy_kernel<1>"});
}

TEST_CASE(
    "kernel launch: the emulated device knows which kernels it can launch, and their orders") {
  const std::string name = "braid::kernels::{anonymous}::fill_kernel";
  const auto orders_of = [&](const simt::Schedule& schedule) {
    const ScheduleScope scope(schedule);
    KernelMemory<float> memory(8, 1.0F);
    DeviceOperands operands(Backend::emulated);
    kernels::launch(operands.stream(), operands.moved(kernels::Fill{{memory.data(), 1, 8, 8}}));
    unsigned orders = 0;
    for (const auto& [kernel, record] : simt::launch_records()) {
      if (kernel.rfind(name, 0) == 0) orders |= record.orders;
    }
    return orders;
  };
  unsigned orders = 0;
  for (const simt::Schedule& schedule : every_schedule()) {
    orders |= 1U << static_cast<unsigned>(schedule.order);
    CHECK((orders_of(schedule) & orders) == orders);
  }
  CHECK(orders == 7U);
  std::int64_t instances = 0;
  for (const std::string& kernel : simt::launchable_kernels()) {
    if (kernel.rfind(name, 0) == 0) ++instances;
  }
  CHECK(instances > 0);
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
