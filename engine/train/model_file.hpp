#pragma once
#include <memory>
#include <string>

#include "engine/train/functional.hpp"

namespace braid {

// One file that holds a model: a safetensors container with the weights ("weights/<path>"), the
// optimizer's state
// ("optimizer/<name>"), and in its metadata under "braid" a JSON description of architecture,
// objective and random state. Written atomically. IoError.
void save_model(const std::string& path, Functional& model);

// The model as it was saved, on the default device; training goes on from it bit for bit. IoError,
// FormatError; DeviceError and OutOfMemory where the device cannot have it, and what
// default_device() throws.
std::shared_ptr<Functional> load_model(const std::string& path);

}  // namespace braid
