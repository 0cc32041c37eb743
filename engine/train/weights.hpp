#pragma once
#include <string>

#include "engine/train/functional.hpp"

namespace braid {

// Copies of all weights, by path.
TensorDict get_weights(const Functional& model);
// Whether these are the weights of the model, which need not have values yet. NameError for a
// missing or unknown one, ShapeError, DTypeError; `where` begins their messages.
void check_weights(const Functional& model, const TensorDict& weights,
                   const std::string& where = {});
// Sets all weights by path. What check_weights throws: then nothing has changed.
void set_weights(Functional& model, const TensorDict& weights, const std::string& where = {});

// A safetensors file of the weights under these names, with a checksum; written atomically.
void save_weights(const Functional& model, const std::string& path);
// Such a file, or one of another program's without a checksum. IoError, FormatError, and what
// set_weights throws, each with the file's name: then nothing has changed.
void load_weights(Functional& model, const std::string& path);

}  // namespace braid
