#pragma once
#include <stdexcept>
#include <string>
#include <utility>

#include <braid/error.hpp>

#include "tests/golden_runner/check.hpp"

namespace braid::golden {

// A class, option or rule that the engine does not have: the case is skipped, by this name.
class NotThere : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Builds a part of a case from its description. Only here an unknown name means that the engine has
// no such thing; anywhere else it is a failure.
template <class Build>
auto known(Build&& build) {
  try {
    return std::forward<Build>(build)();
  } catch (const NameError& error) {
    throw NotThere(error.what());
  }
}

// One function a kind of case. They throw NotThere, or anything else for a failure.
void run_layer(const Case& golden, Check& check);
void run_activation(const Case& golden, Check& check);
void run_head(const Case& golden, Check& check);
void run_loss(const Case& golden, Check& check);
void run_metric(const Case& golden, Check& check);
void run_optimizer(const Case& golden, Check& check);
void run_schedule(const Case& golden, Check& check);
void run_regularizer(const Case& golden, Check& check);
void run_initializer_value(const Case& golden, Check& check);
void run_fans(const Case& golden, Check& check);
void run_orthogonal(const Case& golden, Check& check);
void run_statistics(const Case& golden, Check& check);
void run_layer_initial(const Case& golden, Check& check);
void run_trajectory(const Case& golden, Check& check);
void run_fit(const Case& golden, Check& check);
void run_mask_table(const Case& golden, Check& check);

enum class Verdict { passed, failed, skipped, left_out };
struct Outcome {
  Verdict verdict = Verdict::passed;
  std::string reason;  // of a failure or a skip
  double worst = 0;    // the largest deviation, as a share of the tolerance
};

// Runs one case; never throws.
Outcome run_case(const Case& golden);

}  // namespace braid::golden
