// The check that main.cpp makes after a whole run: every kernel was launched by some test.
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
