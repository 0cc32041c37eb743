#pragma once
#include <string>

#include "engine/train/functional.hpp"

namespace braid {

// Copies of all weights, by path.
TensorDict get_weights(const Functional& model);
// Sets all weights by path. NameError for a missing or unknown one, ShapeError, DTypeError: then
// nothing has changed. `where` begins their messages.
void set_weights(Functional& model, const TensorDict& weights, const std::string& where = {});

// A safetensors file of the weights under these names, with a checksum; written atomically.
void save_weights(const Functional& model, const std::string& path);
// Such a file, or one of another program's without a checksum. IoError, FormatError, and what
// set_weights throws, each with the file's name: then nothing has changed.
void load_weights(Functional& model, const std::string& path);

}  // namespace braid
