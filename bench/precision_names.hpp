#pragma once
#include <string>

#include <braid/error.hpp>

namespace bench {

// What the command line calls the precisions: those of models, and those of kernels.
template <class Precision>
const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::float32: return "float32";
    case Precision::tf32: return "tf32";
    case Precision::bfloat16: return "bfloat16";
  }
  return "";
}

// NameError.
template <class Precision>
Precision precision_named(const std::string& name) {
  for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bfloat16}) {
    if (name == name_of(precision)) return precision;
  }
  throw braid::NameError("unknown precision \"" + name +
                         "\"; known are float32, tf32 and bfloat16");
}

}  // namespace bench
