// The check of finite numbers, at every place and on every instruction set.
#include <cmath>
#include <limits>

#include "kernels/finite.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/kernel_launch.hpp"

using namespace braid;
using namespace braid::testing;

TEST_CASE("finite: one element that is not finite is noticed wherever it stands") {
  const double infinity = std::numeric_limits<double>::infinity();
  const double largest = static_cast<double>(std::numeric_limits<float>::max());
  for (const std::int64_t count : {0, 1, 7, 67}) {
    for (const double bad : {infinity, -infinity, std::nan(""), largest}) {
      for (std::int64_t place = -1; place < count; ++place) {
        Numbers values(static_cast<std::size_t>(count), -1e-40);
        if (place >= 0) values[static_cast<std::size_t>(place)] = bad;
        GuardedMatrix<float> in(1, count);
        in.fill(values);
        for (const Backend backend : tested_backends()) {
          if (runs_on_device(backend)) continue;
          INFO(kernels::name_of(backend) << ", N " << count << ", " << bad << " at " << place);
          GuardedMatrix<std::int32_t> finite(1, 1);
          launch_on(backend,
                    kernels::AllFinite{.in = in.data(), .count = count, .finite = finite.data()});
          CHECK(finite.elements()[0] == (place < 0 || bad == largest ? 1 : 0));
          CHECK(finite.guards_are_intact());
        }
      }
    }
  }
}
