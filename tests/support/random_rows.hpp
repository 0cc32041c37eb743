#pragma once
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include <braid/braid.hpp>

#include "engine/core/random.hpp"

namespace braid::testing {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  bool chance(double probability) { return random_.uniform() < static_cast<float>(probability); }
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(below(most - least + 1));
  }
  template <typename T>
  T& of(std::vector<T>& all) {
    return all[below(static_cast<std::int64_t>(all.size()))];
  }
  template <typename T>
  T of(std::initializer_list<T> all) {
    return all.begin()[below(static_cast<std::int64_t>(all.size()))];
  }
  template <typename T, std::size_t kCount>
  const T& of(const T (&all)[kCount]) {
    return all[below(kCount)];
  }
  float number() { return static_cast<float>(random_.normal()); }

 private:
  std::size_t below(std::int64_t limit) {
    return static_cast<std::size_t>(random_.below(static_cast<std::uint64_t>(limit)));
  }

  Random random_;
};

// Rows for the inputs and outputs of a random model, as many of each.
class RandomRows {
 public:
  explicit RandomRows(Draw& draw)
      : draw_(draw),
        rows_(draw.between(1, draw.chance(0.3) ? 150 : 20)),
        steps_(draw.between(1, 9)),
        known_steps_(draw.chance(0.3)),
        ragged_(!known_steps_ && draw.chance(0.2)) {}

  std::int64_t rows() const { return rows_; }
  std::int64_t steps() const { return steps_; }  // of sequences that are not ragged
  // Whether the model is told how many.
  bool known_steps() const { return known_steps_; }
  // Then there is one sequence, and its rows have up to so many.
  bool ragged() const { return ragged_; }

  // Normal ones; `zeros` is the share of vectors of the last axis that are 0, as Masking looks for.
  Tensor numbers(Shape shape, double zeros) {
    const std::int64_t width = shape.back();
    const std::int64_t count = shape.elements();
    std::vector<float> values;
    for (std::int64_t i = 0; i < count / width; ++i) {
      const bool nothing = draw_.chance(zeros);
      for (std::int64_t k = 0; k < width; ++k) values.push_back(nothing ? 0.0F : draw_.number());
    }
    return Tensor::from(values, std::move(shape));
  }
  // Below the limit.
  std::vector<std::int32_t> integers(std::int64_t count, std::int64_t limit) {
    std::vector<std::int32_t> values;
    for (std::int64_t i = 0; i < count; ++i)
      values.push_back(static_cast<std::int32_t>(draw_.between(0, limit - 1)));
    return values;
  }
  // Below the vocabulary, [rows, steps]; 0 pads behind the words, before them, or anywhere.
  Tensor ids(std::int64_t vocabulary) {
    if (ragged_) {
      std::vector<std::int64_t> splits{0};
      for (std::int64_t row = 0; row < rows_; ++row)
        splits.push_back(splits.back() + draw_.between(0, steps_));
      return Tensor::ragged(integers(splits.back(), vocabulary), splits);
    }
    std::vector<std::int32_t> values = integers(rows_ * steps_, vocabulary);
    const std::int64_t where = draw_.between(0, 2);
    for (std::int64_t row = 0; where < 2 && row < rows_; ++row) {
      const std::int64_t length = draw_.between(0, steps_);
      for (std::int64_t t = length; t < steps_; ++t)
        values[static_cast<std::size_t>(row * steps_ + (where == 0 ? t : steps_ - 1 - t))] = 0;
    }
    return Tensor::from(values, {rows_, steps_});
  }

 private:
  Draw& draw_;
  std::int64_t rows_;
  std::int64_t steps_;
  bool known_steps_;
  bool ragged_;
};

}  // namespace braid::testing
