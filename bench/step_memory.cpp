#include "bench/step_memory.hpp"

#include "engine/runtime/program.hpp"
#include "engine/train/functional.hpp"
#include "engine/train/trainer.hpp"

using namespace braid;

namespace bench {
namespace {

class OpenModel : public Model {
 public:
  explicit OpenModel(Model model) : Model(std::move(model)) {}
  const Program& last_step() const { return *functional().trainer().last_step(); }
};

}  // namespace

StepMemory memory_of_step(const ReferenceModel& reference, const Rows& batch) {
  OpenModel model(reference.make());
  model.train_on_batch(batch.x, batch.y);
  return {.arena = model.last_step().arena_bytes(), .scratch = model.last_step().scratch_bytes()};
}

}  // namespace bench
