// Masks: how they come about, are combined and take steps out of an average.
#include <limits>

#include "engine/graph/ops/mask.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/moving_reference.hpp"
#include "tests/support/op_check.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// Every pair of masks of that many steps, one pair a row.
std::pair<Array, Array> all_pairs_of_masks(std::int64_t steps) {
  const Array patterns = all_masks(steps);
  const std::int64_t count = patterns.shape[0];
  std::pair<Array, Array> pair{Array(Shape{count * count, steps}),
                               Array(Shape{count * count, steps})};
  for (std::int64_t n = 0; n < count * count; ++n) {
    for (std::int64_t t = 0; t < steps; ++t) {
      pair.first(n, t) = patterns(n / count, t);
      pair.second(n, t) = patterns(n % count, t);
    }
  }
  return pair;
}

// Pairs of masks of every pattern up to four steps, and of other sizes.
std::vector<std::pair<Array, Array>> pairs_of_masks(RandomNumbers& random) {
  std::vector<std::pair<Array, Array>> pairs;
  for (std::int64_t steps = 1; steps <= 4; ++steps) pairs.push_back(all_pairs_of_masks(steps));
  for (const auto& [rows, steps] : {std::pair{0, 3}, std::pair{3, 0}, std::pair{67, 11}})
    pairs.emplace_back(random_masks(rows, steps, random), random_masks(rows, steps, random));
  for (int n = 0; n < 3; ++n) {
    const Shape shape = random_shape(2, random);
    pairs.emplace_back(random_masks(shape[0], shape[1], random),
                       random_masks(shape[0], shape[1], random));
  }
  return pairs;
}

std::vector<OpCheck> masks_of_ids() {
  RandomNumbers random(1);
  std::vector<OpCheck> checks;
  for (const auto& [valid, also] : pairs_of_masks(random)) {
    Array words = random_ids(valid.shape, 9, random);
    for (std::int64_t i = 0; i < words.elements(); ++i) words[i] = valid[i] != 0 ? words[i] + 1 : 0;
    for (const std::int32_t padding : {0, 7}) {
      OpCheck check{.name = named("ids of ", words.shape, " but ", padding)};
      check.inputs = {ids("ids", words).any_length(), mask("also", also).any_length()};
      check.build = [padding](Graph& graph, const Values& in) -> Values {
        return {ops::ids_not_equal(graph, in[0], padding),
                ops::ids_not_equal(graph, in[0], padding, in[1])};
      };
      check.reference = [padding](const Arrays& in) -> Arrays {
        Array out = in[0];
        for (double& id : out.values) id = id != padding ? 1 : 0;
        Array both = out;
        for (std::int64_t i = 0; i < both.elements(); ++i) both[i] *= in[1][i];
        return {out, both};
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

std::vector<OpCheck> combined_masks() {
  RandomNumbers random(2);
  std::vector<OpCheck> checks;
  for (const auto& [a, b] : pairs_of_masks(random)) {
    OpCheck check{.name = named("either and both of ", a.shape)};
    check.inputs = {mask("a", a).any_length(), mask("b", b).any_length()};
    check.build = [](Graph& graph, const Values& in) -> Values {
      return {ops::either(graph, in[0], in[1]), ops::both(graph, in[0], in[1]),
              ops::either(graph, in[0], in[0])};
    };
    check.reference = [](const Arrays& in) -> Arrays {
      Array either = in[0];
      Array both = in[0];
      for (std::int64_t i = 0; i < in[0].elements(); ++i) {
        either[i] = std::fmax(in[0][i], in[1][i]);
        both[i] = in[0][i] * in[1][i];
      }
      return {either, both, in[0]};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

enum class Also { none, given };

// Steps that hold nothing but the value are taken out. Where `steps` says 0 they do; other steps
// hold it in some features.
OpCheck masking_of(const Array& steps, std::int64_t features, float value, Also with_also,
                   const Array& also, RandomNumbers& random) {
  Array in = random_array(steps.shape.append(features), random);
  for (std::int64_t n = 0; n < in.rows(); ++n) {
    for (std::int64_t f = 0; f < features; ++f) {
      if (steps[n] == 0 || (f > 0 && random.below(3) == 0)) in(n, f) = static_cast<double>(value);
    }
  }
  OpCheck check{.name = named("masking ", value, " of ", in.shape,
                              with_also == Also::given ? " and more" : "")};
  check.inputs = {batched("in", in).any_length()};
  if (with_also == Also::given) check.inputs.push_back(mask("also", also).any_length());
  check.build = [value](Graph& graph, const Values& in) -> Values {
    const ops::MaskedValue out = ops::masking(graph, in[0], value, in.size() > 1 ? in[1] : Value{});
    return {out.value, out.mask};
  };
  check.reference = [value](const Arrays& in) -> Arrays {
    Array out = in[0];
    Array valid(in[0].shape.slice(0, in[0].shape.rank() - 1));
    for (std::int64_t n = 0; n < valid.elements(); ++n) {
      for (std::int64_t f = 0; f < in[0].columns(); ++f) {
        if (in[0](n, f) != static_cast<double>(value)) valid[n] = in.size() > 1 ? in[1][n] : 1;
      }
      for (std::int64_t f = 0; f < in[0].columns() && valid[n] == 0; ++f) out(n, f) = 0;
    }
    return {out, valid};
  };
  // Next to the value a step jumps back in, which differences would take for a slope.
  check.gradients = [reference = check.reference](const Arrays& in,
                                                  const Arrays& out_grads) -> Arrays {
    const Array valid = reference(in)[1];
    Array slopes = out_grads[0];
    for (std::int64_t n = 0; n < valid.elements(); ++n) {
      for (std::int64_t f = 0; f < slopes.columns(); ++f) slopes(n, f) *= valid[n];
    }
    return {slopes};
  };
  return check;
}

std::vector<OpCheck> maskings() {
  RandomNumbers random(3);
  std::vector<OpCheck> checks;
  for (const auto& [valid, also] : pairs_of_masks(random)) {
    for (const float value : {0.0F, -1.5F}) {
      checks.push_back(masking_of(valid, 3, value, Also::none, also, random));
      checks.push_back(masking_of(valid, 1, value, Also::given, also, random));
    }
  }
  // NaN is no value, so such a step is valid.
  OpCheck check = masking_of(random_masks(9, 4, random), 2, 0, Also::none, {}, random);
  check.name = "masking of NaN";
  check.inputs[0].array(3, 1) = std::numeric_limits<double>::quiet_NaN();
  check.inputs[0].array(7, 0) = std::numeric_limits<double>::quiet_NaN();
  checks.push_back(std::move(check));
  return checks;
}

std::vector<OpCheck> masks_everywhere() {
  RandomNumbers random(4);
  std::vector<OpCheck> checks;
  for (const Shape& shape :
       {Shape{0, 2, 3}, Shape{5, 4}, Shape{67, 3, 2}, Shape{3, 0, 2}, Shape{2, 3, 2, 2}}) {
    OpCheck check{.name = named("all valid of ", shape)};
    check.inputs = {given("like", random_array(shape, random)).any_length()};
    check.build = [](Graph& graph, const Values& in) -> Values {
      return {ops::all_valid(graph, in[0])};
    };
    check.reference = [](const Arrays& in) -> Arrays {
      return {Array(in[0].shape.slice(0, 2), 1)};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

// A mask spread over the shape of its value; all valid without one.
Array spread(const Array* steps, const Shape& shape) {
  Array out(shape, 1);
  for (std::int64_t i = 0; steps != nullptr && i < out.elements(); ++i)
    out[i] = (*steps)[i / (out.elements() / steps->elements())];
  return out;
}

// Some values with and some without a mask.
std::vector<OpCheck> masks_of_concatenations() {
  RandomNumbers random(5);
  std::vector<OpCheck> checks;
  const auto add = [&](const Arrays& values, const std::vector<const Array*>& masks,
                       std::int64_t axis) {
    OpCheck check{.name = named("mask of a concatenation along ", axis, " of ", values.size())};
    std::vector<bool> masked;
    for (std::size_t i = 0; i < values.size(); ++i) {
      check.inputs.push_back(given(named("value ", i), values[i]));
      masked.push_back(masks[i] != nullptr);
    }
    for (const Array* one : masks) {
      if (one != nullptr) check.inputs.push_back(mask("mask", *one));
    }
    check.build = [masked, axis](Graph& graph, const Values& in) -> Values {
      const Values values(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(masked.size()));
      Values masks;
      std::size_t next = masked.size();
      for (const bool has_mask : masked) masks.push_back(has_mask ? in[next++] : Value{});
      return {ops::concatenated_mask(graph, values, masks, axis)};
    };
    check.reference = [masked, axis](const Arrays& in) -> Arrays {
      Arrays parts;
      std::size_t next = masked.size();
      for (std::size_t i = 0; i < masked.size(); ++i)
        parts.push_back(spread(masked[i] ? &in[next++] : nullptr, in[i].shape));
      const auto rank = static_cast<std::int64_t>(in[0].shape.rank());
      const Array whole = joined(parts, static_cast<std::size_t>(axis < 0 ? axis + rank : axis));
      Array out(whole.shape.slice(0, whole.shape.rank() - 1));
      for (std::int64_t n = 0; n < whole.rows(); ++n) {
        for (std::int64_t c = 0; c < whole.columns(); ++c) out[n] = std::fmax(out[n], whole(n, c));
      }
      return {out};
    };
    checks.push_back(std::move(check));
  };
  for (std::int64_t steps = 1; steps <= 4; ++steps) {
    const auto [first, second] = all_pairs_of_masks(steps);
    const Shape shape = first.shape;
    for (const std::int64_t axis : {1, 2, -1}) {
      const Arrays values{Array(shape.append(2)), Array(shape.append(2))};
      add(values, {&first, &second}, axis);
      add(values, {&first, nullptr}, axis);
      add(values, {nullptr, &second}, axis);
    }
  }
  const Array other = random_masks(19, 5, random);
  const Array longer = random_masks(19, 7, random);
  add({Array(Shape{19, 5, 3}), Array(Shape{19, 7, 3})}, {&other, &longer}, 1);
  add({Array(Shape{19, 5, 3}), Array(Shape{19, 5, 1}), Array(Shape{19, 5, 2})},
      {&other, nullptr, &other}, 2);
  add({Array(Shape{19, 5, 3}), Array(Shape{19, 7, 3})}, {nullptr, &longer}, 1);
  // What has more axes than steps and features.
  add({Array(Shape{19, 5, 2, 3}), Array(Shape{19, 7, 2, 3})}, {&other, &longer}, 1);
  add({Array(Shape{19, 5, 2, 3}), Array(Shape{19, 5, 4, 3})}, {&other, nullptr}, 2);
  add({Array(Shape{19, 5, 2, 3}), Array(Shape{19, 5, 2, 1})}, {nullptr, &other}, -1);
  return checks;
}

std::vector<OpCheck> weights_of_masks() {
  RandomNumbers random(6);
  std::vector<OpCheck> checks;
  for (const auto& [valid, unused] : pairs_of_masks(random)) {
    OpCheck check{.name = named("weights of ", valid.shape)};
    check.inputs = {mask("mask", valid).any_length(),
                    given("weights", random_array(valid.shape, random)).any_length()};
    check.build = [](Graph& graph, const Values& in) -> Values {
      return {ops::mask_weights(graph, in[0]), ops::mask_weights(graph, in[0], in[1])};
    };
    check.reference = [](const Arrays& in) -> Arrays {
      Array weighted = in[0];
      for (std::int64_t i = 0; i < weighted.elements(); ++i) weighted[i] *= in[1][i];
      return {in[0], weighted};
    };
    checks.push_back(std::move(check));
  }
  return checks;
}

// A row without a valid step is 0 / 0, as in Keras, and so is its gradient.
std::vector<OpCheck> averages() {
  RandomNumbers random(7);
  std::vector<OpCheck> checks;
  std::vector<Array> masks{random_masks(67, 5, random), random_masks(0, 3, random),
                           Array(Shape{3, 0})};
  for (std::int64_t steps = 1; steps <= 4; ++steps) masks.push_back(all_masks(steps));
  for (const Array& valid : masks) {
    for (const std::int64_t features : {1, 3, 17}) {
      OpCheck check{.name = named("average of ", valid.shape.append(features))};
      check.inputs = {
          batched("in", random_array(valid.shape.append(features), random)).any_length(),
          mask("mask", valid).any_length()};
      check.build = [](Graph& graph, const Values& in) -> Values {
        return {ops::average_over_time(graph, in[0], {}),
                ops::average_over_time(graph, in[0], in[1])};
      };
      check.reference = [](const Arrays& in) -> Arrays {
        const std::int64_t steps = in[0].shape[1];
        Array all(Shape{in[0].shape[0], in[0].shape[2]});
        Array masked = all;
        for (std::int64_t b = 0; b < all.shape[0]; ++b) {
          double count = 0;
          for (std::int64_t t = 0; t < steps; ++t) {
            count += in[1](b, t);
            for (std::int64_t f = 0; f < all.columns(); ++f) {
              all(b, f) += in[0](b * steps + t, f);
              if (in[1](b, t) != 0) masked(b, f) += in[0](b * steps + t, f);
            }
          }
          for (std::int64_t f = 0; f < all.columns(); ++f) {
            all(b, f) /= static_cast<double>(steps);
            masked(b, f) /= count;
          }
        }
        return {all, masked};
      };
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

const OpFamily family{masks_of_ids,     combined_masks,          maskings,
                      masks_everywhere, masks_of_concatenations, weights_of_masks,
                      averages};

}  // namespace

TEST_CASE("ops: ids other than the padding are valid") { check(masks_of_ids()); }

TEST_CASE("ops: masks are combined step by step") { check(combined_masks()); }

TEST_CASE("ops: masking takes out steps that hold one value alone") { check(maskings()); }

TEST_CASE("ops: a value without a mask is valid everywhere") { check(masks_everywhere()); }

TEST_CASE("ops: the mask of a concatenation is Keras's") { check(masks_of_concatenations()); }

TEST_CASE("ops: masks become weights") { check(weights_of_masks()); }

TEST_CASE("ops: averages over time leave masked steps out") { check(averages()); }
