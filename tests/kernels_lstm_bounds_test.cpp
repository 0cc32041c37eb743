// That the LSTM's kernels of a GPU read nothing behind what is theirs, not even what they throw
// away: the scratch memory ends where the process's own memory ends.
#include <cstdint>

#include "kernels/lstm_gpu.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"
#include "tests/support/lstm_kernel.hpp"
#include "tests/support/memory_at_the_edge.hpp"

using namespace braid;
using namespace braid::testing;

TEST_CASE("lstm on a gpu: the inputs behind the last step of the last row are not fetched") {
  RandomNumbers random(54);
  for (const std::int64_t units : {16, 64}) {
    for (const bool masked : {false, true}) {
      INFO(units << " units" << (masked ? ", with a mask that masks nothing" : ""));
      LstmProblem problem = random_lstm({5, 6, 3, units}, random);
      if (masked) problem.mask = Numbers(5 * 6, 1);
      LstmKernel kernel(Backend::emulated, problem);
      const LstmResults expected = kernel.forward();
      kernels::LstmForward arguments = kernel.forward_arguments();
      const MemoryAtTheEdge scratch(kernels::lstm_forward_places({problem.rows, problem.steps,
                                                                  problem.features, problem.units})
                                        .bytes);
      GuardedMatrix<float> sequence(problem.rows * problem.steps, units);
      arguments.scratch = scratch.data();
      arguments.sequence = sequence.matrix();
      for (const simt::Schedule& schedule : every_schedule()) {
        const ScheduleScope order(schedule);
        kernels::launch(kernels::Stream{Backend::emulated}, arguments);
        CHECK(sequence.values() == expected.sequence);
      }
    }
  }
}
