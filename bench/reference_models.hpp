#pragma once
#include <braid/braid.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

// Operations and bytes that no way to compute a step can avoid.
struct Work {
  double operations = 0;
  double bytes = 0;
};

struct Rows {
  braid::TensorDict x;
  braid::TensorDict y;

  Rows slice(std::int64_t begin, std::int64_t end) const;
};

// One of the three models that Braid's own examples start from, with made-up data for it:
// "m1" two inputs, "m2" ids of different length and features, "m2f" the same with rows of full
// length, "m3" two outputs, "m3u" the same with images of bytes. Or a model that is one large
// layer: "m4" a Dense, "m4d" two of them, "m5" an Embedding. Or "m6", of large Dense layers.
class ReferenceModel {
 public:
  // Rows for the batches that a GPU is given, and large layers as large as it wants them: from
  // before the first model is asked for.
  static void make_large_data();
  // Of the products of every model made from now on.
  static void set_precision(braid::Precision precision);
  static braid::Precision precision();
  // Of a launch within fit, of models made from now on.
  static void set_steps_per_execution(int steps);
  // NameError for another name.
  static const ReferenceModel& named(const std::string& name);

  virtual ~ReferenceModel() = default;
  // Compiled, with the same initial weights every time.
  braid::Model make() const;
  // Rows to train on, and rows to predict one at a time: the same numbers every time.
  const Rows& training() const { return training_; }
  const Rows& single() const { return single_; }
  // Training and single rows as arrays with names like "x/text", without ragged ones.
  virtual braid::TensorDict arrays() const;

  virtual Work training_work(const Rows& batch) const = 0;
  virtual Work prediction_work(const Rows& row) const = 0;

 protected:
  virtual braid::Model build() const = 0;

  Rows training_;
  Rows single_;
};

}  // namespace bench
