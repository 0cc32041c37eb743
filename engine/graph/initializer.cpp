#include "engine/graph/initializer.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/core/error.hpp"
#include "engine/core/random.hpp"
#include "engine/graph/orthonormal_columns.hpp"

namespace braid {
namespace {

// Deviation of a normal distribution cut at two deviations: what is drawn is widened by it to keep
// the variance asked for.
constexpr double kTruncatedDeviation = 0.87962566103423978;

Initializer make(Initializer::Kind kind, double a = 0, double b = 0) {
  Initializer rule;
  rule.kind = kind;
  rule.a = a;
  rule.b = b;
  return rule;
}

Initializer scaling(double scale, Initializer::Fan fan, bool uniform) {
  Initializer rule = make(Initializer::Kind::variance_scaling, scale);
  rule.fan = fan;
  rule.uniform = uniform;
  return rule;
}

const std::vector<std::pair<std::string, Initializer>>& named_rules() {
  using namespace initializers;
  static const std::vector<std::pair<std::string, Initializer>> rules{
      {"zeros", Zeros()},
      {"ones", Ones()},
      {"constant", Constant()},
      {"uniform", RandomUniform()},
      {"random_uniform", RandomUniform()},
      {"normal", RandomNormal()},
      {"random_normal", RandomNormal()},
      {"truncated_normal", TruncatedNormal()},
      {"glorot_uniform", GlorotUniform()},
      {"glorot_normal", GlorotNormal()},
      {"he_uniform", HeUniform()},
      {"he_normal", HeNormal()},
      {"lecun_uniform", LecunUniform()},
      {"lecun_normal", LecunNormal()},
      {"orthogonal", Orthogonal()},
      {"identity", Identity()},
  };
  return rules;
}

double truncated_normal(Random& random) {
  for (;;) {
    const double number = random.normal();
    if (std::abs(number) < 2) return number;
  }
}

void fill_orthogonal(Tensor& tensor, double gain, Random& random) {
  const Shape& shape = tensor.shape();
  if (shape.rank() < 2) {
    throw ShapeError("the orthogonal initializer needs a weight of two axes or more, not " +
                     to_string(shape));
  }
  const auto columns = static_cast<std::size_t>(shape.back());
  const std::size_t rows =
      static_cast<std::size_t>(tensor.elements()) / std::max<std::size_t>(columns, 1);
  const bool is_wide = rows < columns;  // then its rows are orthonormal
  const OrthonormalColumns q(std::max(rows, columns), std::min(rows, columns), random);
  float* out = tensor.data<float>();
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c)
      *out++ = static_cast<float>(gain * (is_wide ? q(c, r) : q(r, c)));
  }
}

}  // namespace

Initializer::Initializer(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& [rule_name, rule] : named_rules()) {
    if (rule_name == name) {
      *this = rule;
      return;
    }
    known.push_back(rule_name);
  }
  throw NameError("unknown initializer \"" + std::string(name) + "\"; known are " +
                  quoted_list(known) + "." + suggestion(name, known));
}

namespace initializers {

using Kind = Initializer::Kind;
using Fan = Initializer::Fan;

Initializer Zeros() { return make(Kind::zeros); }
Initializer Ones() { return make(Kind::ones); }
Initializer Constant(double value) { return make(Kind::constant, value); }
Initializer RandomUniform(double minval, double maxval) {
  return make(Kind::random_uniform, minval, maxval);
}
Initializer RandomNormal(double mean, double stddev) {
  return make(Kind::random_normal, mean, stddev);
}
Initializer TruncatedNormal(double mean, double stddev) {
  return make(Kind::truncated_normal, mean, stddev);
}
Initializer GlorotUniform() { return scaling(1, Fan::average, true); }
Initializer GlorotNormal() { return scaling(1, Fan::average, false); }
Initializer HeUniform() { return scaling(2, Fan::in, true); }
Initializer HeNormal() { return scaling(2, Fan::in, false); }
Initializer LecunUniform() { return scaling(1, Fan::in, true); }
Initializer LecunNormal() { return scaling(1, Fan::in, false); }
Initializer Orthogonal(double gain) { return make(Kind::orthogonal, gain); }
Initializer Identity(double gain) { return make(Kind::identity, gain); }

}  // namespace initializers

std::string to_string(const Initializer& initializer) {
  for (const auto& [name, rule] : named_rules()) {
    if (rule == initializer) return name;
  }
  return "custom";
}

Fans fans_of(const Shape& shape) {
  if (shape.rank() == 0) return {1, 1};
  if (shape.rank() == 1) return {shape[0], shape[0]};
  std::int64_t field = 1;
  for (std::size_t axis = 0; axis + 2 < shape.rank(); ++axis) field *= shape[axis];
  return {field * shape[shape.rank() - 2], field * shape.back()};
}

double spread_of(const Initializer& initializer, const Shape& shape) {
  const Fans fans = fans_of(shape);
  const auto in = static_cast<double>(fans.in);
  const auto out = static_cast<double>(fans.out);
  const double fan = initializer.fan == Initializer::Fan::in    ? in
                     : initializer.fan == Initializer::Fan::out ? out
                                                                : (in + out) / 2;
  const double variance = initializer.a / std::max(1.0, fan);
  return initializer.uniform ? std::sqrt(3 * variance) : std::sqrt(variance) / kTruncatedDeviation;
}

Tensor initial_value(const Initializer& initializer, const Shape& shape, std::uint64_t seed,
                     std::uint64_t stream) {
  Tensor tensor = Tensor::zeros(shape);
  Random random(seed, stream);
  float* out = tensor.data<float>();
  const std::int64_t count = tensor.elements();
  const auto fill = [&](auto&& draw) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(draw());
  };
  using Kind = Initializer::Kind;
  switch (initializer.kind) {
    case Kind::zeros: break;
    case Kind::ones: fill([] { return 1.0; }); break;
    case Kind::constant: fill([&] { return initializer.a; }); break;
    case Kind::random_uniform:
      fill([&] { return initializer.a + (initializer.b - initializer.a) * random.uniform(); });
      break;
    case Kind::random_normal:
      fill([&] { return initializer.a + initializer.b * random.normal(); });
      break;
    case Kind::truncated_normal:
      fill([&] { return initializer.a + initializer.b * truncated_normal(random); });
      break;
    case Kind::variance_scaling: {
      const double spread = spread_of(initializer, shape);
      if (initializer.uniform) {
        fill([&] { return spread * (2.0 * random.uniform() - 1); });
      } else {
        fill([&] { return spread * truncated_normal(random); });
      }
      break;
    }
    case Kind::orthogonal: fill_orthogonal(tensor, initializer.a, random); break;
    case Kind::identity:
      if (shape.rank() != 2) {
        throw ShapeError("the identity initializer needs a weight of two axes, not " +
                         to_string(shape));
      }
      for (std::int64_t i = 0; i < std::min(shape[0], shape[1]); ++i)
        out[i * shape[1] + i] = static_cast<float>(initializer.a);
      break;
  }
  return tensor;
}

}  // namespace braid
