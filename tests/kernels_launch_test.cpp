// The check that main.cpp makes after a whole run: every kernel was launched by some test. And how
// operands come to a device and back.
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "kernels/elementwise.hpp"
#include "kernels/gather.hpp"
#include "kernels/step.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/kernel_proof.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// Words of arguments that point into memory of the host, before and after they are moved.
struct Pointers {
  int here = 0;
  int left_here = 0;
};

template <class Arguments>
Pointers pointers_of(const Arguments& arguments, const KernelMemory<double>& memory) {
  const auto count_in = [&](const Arguments& words) {
    int count = 0;
    const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
    for (std::size_t at = 0; at + kWordBytes <= sizeof(words); at += kWordBytes) {
      std::uintptr_t word = 0;
      std::memcpy(&word, reinterpret_cast<const std::byte*>(&words) + at, sizeof(word));
      if (word >= begin && word - begin < memory.size() * sizeof(double)) ++count;
    }
    return count;
  };
  DeviceOperands operands(Backend::emulated);
  return {count_in(arguments), count_in(operands.moved(arguments))};
}

}  // namespace

TEST_CASE("kernel launch: a kernel is found where its header declares it") {
  CHECK(kernels_declared_in("struct Copy {};\nBRAID_KERNEL(Copy)\n\nstruct Fill {\n};\n"
                            "BRAID_CPU_KERNEL(Fill)\n// BRAID_KERNEL(Old)\n"
                            "#define BRAID_KERNEL(x)\n#define BRAID_CPU_KERNEL(x)\n") ==
        std::vector<DeclaredKernel>{{"Copy", true}, {"Fill", false}});
}

TEST_CASE("kernel launch: a kernel that no test launches is missed by name, on each backend") {
  const std::vector<Backend> backends{Backend::portable, Backend::avx2, Backend::emulated};
  const Launches launches{{"Copy", Backend::portable},
                          {"Copy", Backend::avx2},
                          {"Copy", Backend::emulated},
                          {"Fill", Backend::avx2}};
  CHECK(never_launched({{"Copy", true}}, backends, launches).empty());
  CHECK(never_launched({{"Copy", true}, {"Fill", true}, {"Turn", false}}, backends, launches) ==
        std::vector<std::string>{"Fill on portable", "Fill on emulated", "Turn on portable",
                                 "Turn on avx2"});
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

TEST_CASE("kernel launch: a device gets every address, in arrays of structs too") {
  KernelMemory<double> memory(64);
  double* const doubles = memory.data();
  float* const floats = reinterpret_cast<float*>(doubles);
  std::byte* const bytes = reinterpret_cast<std::byte*>(doubles);
  std::uint8_t* const mask = reinterpret_cast<std::uint8_t*>(doubles);
  const std::int64_t* const counts = reinterpret_cast<std::int64_t*>(doubles);
  const auto* const rates = reinterpret_cast<kernels::UpdateRates*>(doubles);
  const auto check = [&](const auto& arguments, int expected) {
    const Pointers pointers = pointers_of(arguments, memory);
    CHECK(pointers.here == expected);
    CHECK(pointers.left_here == 0);
  };
  const auto check_list = [&](auto list, const auto& each, int expected) {
    INFO("a list of " << list.kMost);
    for (auto& one : list.each) one = each;
    list.count = list.kMost;
    check(list, static_cast<int>(list.kMost) * expected);
  };

  kernels::Sum sum{.count = kernels::kMaxSummands, .out = {floats, 1, 1, 1}};
  for (Matrix<const float>& in : sum.in) in = {floats + 1, 1, 1, 1};
  check(sum, kernels::kMaxSummands + 1);

  kernels::GatherBatch gather{.count = kernels::kMaxGatheredColumns,
                              .order = counts,
                              .cursor = reinterpret_cast<kernels::StepCursor*>(doubles)};
  for (kernels::GatheredColumn& column : gather.columns)
    column = {.values = bytes, .splits = counts, .out = bytes + 8, .mask = mask};
  check(gather, 4 * kernels::kMaxGatheredColumns + 2);

  kernels::EndStep end{.count = kernels::kMaxAddedValues,
                       .cursor = reinterpret_cast<kernels::StepCursor*>(doubles),
                       .random_state = reinterpret_cast<kernels::RandomState*>(doubles),
                       .rates_of_steps = rates,
                       .rates = reinterpret_cast<kernels::UpdateRates*>(doubles)};
  for (kernels::AddedValues& added : end.added) added = {.values = floats, .sums = doubles};
  check(end, 2 * kernels::kMaxAddedValues + 4);

  const kernels::GradientSource gradient{.data = floats, .factor = floats};
  check_list(kernels::SgdUpdates{},
             kernels::SgdUpdate{gradient, floats, floats, 1, rates, 0, 0, false}, 5);
  check_list(kernels::RmspropUpdates{},
             kernels::RmspropUpdate{gradient, floats, floats, floats, floats, 1, rates}, 7);
  check_list(kernels::AdamUpdates{},
             kernels::AdamUpdate{gradient, floats, floats, floats, floats, 1, rates}, 7);
  check_list(kernels::SquaredNorms{}, kernels::SquaredNorm{.in = floats, .partials = doubles}, 2);
}

TEST_CASE("kernel launch: an operand that no device could reach is refused, not launched") {
  std::vector<float> memory(8, 1.0F);
  const kernels::Fill fill{.out = {memory.data(), 1, 8, 8}, .value = 5};
  CHECK_THROWS_AS(launch_on(Backend::emulated, fill), std::logic_error);
  CHECK(memory == std::vector<float>(8, 1.0F));
}
