#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bench/reference_models.hpp"

namespace bench {

// Of all bits of weights, optimizer, losses and predictions after `steps` training steps, whole
// rounds of the batches of `batch` rows: two machines that give the same one have trained the same.
// Throws where fit does not give the same bits as single steps.
std::string digest_of_training(const ReferenceModel& reference, std::int64_t batch,
                               const std::vector<Rows>& batches, std::int64_t steps);

}  // namespace bench
