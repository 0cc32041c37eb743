#include "bench/state_digest.hpp"

#include <cstdio>
#include <stdexcept>

using namespace braid;

namespace bench {
namespace {

// FNV-1a over bytes.
class Digest {
 public:
  void add(const void* bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      hash_ = (hash_ ^ static_cast<const unsigned char*>(bytes)[i]) * 0x100000001b3U;
  }
  void add(const TensorDict& tensors) {
    for (const auto& [name, tensor] : tensors) {
      add(name.data(), name.size());
      const Tensor here = tensor.to(Device::cpu());
      add(here.raw(), here.bytes());
    }
  }
  std::string text() const {
    char text[20];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash_));
    return text;
  }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325U;
};

std::string state_of(const Model& model) {
  Digest digest;
  digest.add(model.get_weights());
  digest.add(model.optimizer_state());
  return digest.text();
}

// What fit makes of the same batches: on a device it takes the data there, and many steps a launch.
std::string state_after_fit(const ReferenceModel& reference, std::int64_t batch, std::int64_t count,
                            std::int64_t epochs, std::int64_t at_once) {
  ReferenceModel::set_steps_per_execution(static_cast<int>(at_once));
  Model model = reference.make();
  ReferenceModel::set_steps_per_execution(1);
  const Rows rows = reference.training().slice(0, batch * count);
  model.fit(rows.x, rows.y,
            {.batch_size = batch, .epochs = epochs, .verbose = 0, .shuffle = false});
  return state_of(model);
}

}  // namespace

std::string digest_of_training(const ReferenceModel& reference, std::int64_t batch,
                               const std::vector<Rows>& batches, std::int64_t steps) {
  Model model = reference.make();
  Digest digest;
  for (std::int64_t i = 0; i < steps; ++i) {
    const Rows& rows = batches[static_cast<std::size_t>(i) % batches.size()];
    const double loss = model.train_on_batch(rows.x, rows.y)["loss"];
    digest.add(&loss, sizeof(loss));
  }
  const std::string state = state_of(model);
  const auto count = static_cast<std::int64_t>(batches.size());
  for (const std::int64_t at_once : {std::int64_t{1}, count}) {
    const std::string other = state_after_fit(reference, batch, count, steps / count, at_once);
    if (other == state) continue;
    throw std::runtime_error("fit with " + std::to_string(at_once) +
                             " steps a launch ends in another state than single steps: " + other +
                             " instead of " + state);
  }
  digest.add(state.data(), state.size());
  digest.add(model.predict_on_batch(batches.front().x));
  return digest.text();
}

}  // namespace bench
