#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include <braid/tensor.hpp>

namespace braid {

// How a weight starts: a rule and its numbers. Made from a Keras name ("glorot_uniform", "zeros",
// "orthogonal", ...) or by a function of namespace initializers. NameError for an unknown name.
class Initializer {
 public:
  enum class Kind {
    zeros,
    ones,
    constant,          // a = value
    random_uniform,    // a = minval, b = maxval
    random_normal,     // a = mean, b = stddev
    truncated_normal,  // a = mean, b = stddev, drawn again beyond two deviations
    variance_scaling,  // a = scale
    orthogonal,        // a = gain
    identity,          // a = gain
  };
  enum class Fan { in, out, average };

  Initializer() = default;
  Initializer(const char* name) : Initializer(std::string_view(name)) {}
  Initializer(const std::string& name) : Initializer(std::string_view(name)) {}
  Initializer(std::string_view name);

  Kind kind = Kind::zeros;
  double a = 0;
  double b = 0;
  Fan fan = Fan::average;
  bool uniform = true;  // variance_scaling: uniform instead of truncated normal

  bool operator==(const Initializer&) const = default;
};

namespace initializers {

Initializer Zeros();
Initializer Ones();
Initializer Constant(double value = 0);
Initializer RandomUniform(double minval = -0.05, double maxval = 0.05);
Initializer RandomNormal(double mean = 0, double stddev = 0.05);
Initializer TruncatedNormal(double mean = 0, double stddev = 0.05);
Initializer GlorotUniform();
Initializer GlorotNormal();
Initializer HeUniform();
Initializer HeNormal();
Initializer LecunUniform();
Initializer LecunNormal();
// Rows (or columns, if there are more rows than columns) orthonormal over the whole matrix, times
// the gain.
Initializer Orthogonal(double gain = 1);
Initializer Identity(double gain = 1);

}  // namespace initializers

// The Keras name, "custom" where numbers differ from the defaults of that name.
std::string to_string(const Initializer& initializer);

struct Fans {
  std::int64_t in;
  std::int64_t out;
};
// Keras's fan-in and fan-out of a weight: rank 1 (n, n), rank 2 its axes, above that receptive
// field times channels.
Fans fans_of(const Shape& shape);

// What a variance scaling rule draws from for a weight of that shape: the limit of uniform numbers,
// or the deviation of normal ones before they are cut at two deviations.
double spread_of(const Initializer& initializer, const Shape& shape);

// A weight of that shape, float32; the same numbers for the same seed and stream on every device.
Tensor initial_value(const Initializer& initializer, const Shape& shape, std::uint64_t seed,
                     std::uint64_t stream);

}  // namespace braid
