#pragma once
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/golden_runner/golden_file.hpp"

namespace braid::golden {

// How far one tensor's values may be from the stored ones: |got - expected| <= absolute + relative
// * |expected|.
struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

// Compares what the engine computes with what a case stores, and remembers what was compared.
class Check {
 public:
  explicit Check(const Case& golden) : golden_(golden) {}

  // The tolerance that a unit case states for this tensor.
  Tolerance unit_tolerance(const std::string& role_and_name) const;
  // The tolerance that a model case states for a group of tensors: relative to the largest value of
  // `expected`.
  Tolerance group_tolerance(const std::string& group, const std::vector<double>& expected) const;

  // A unit tensor; elements for which `leave_out` says so are passed over.
  void unit(const std::string& role_and_name, const Numbers& got,
            const std::function<bool(std::size_t)>& leave_out = {});
  // A tensor of a whole model.
  void group(const std::string& group, const std::string& role_and_name, const Numbers& got);
  void exact(const std::string& role_and_name, const Numbers& got);
  void values(const std::string& what, const std::vector<double>& got,
              const std::vector<double>& expected, Tolerance tolerance,
              const std::function<bool(std::size_t)>& leave_out = {});
  void that(bool holds, const std::string& what);
  // Every stored tensor under these roles must have been compared.
  void require_all_compared(const std::vector<std::string>& roles);

  const std::vector<std::string>& failures() const { return failures_; }
  // The largest deviation met, as a share of what was allowed.
  double worst() const { return worst_; }

 private:
  bool same_shape(const std::string& what, const Shape& got, const Shape& expected);

  const Case& golden_;
  std::set<std::string> compared_;
  std::vector<std::string> failures_;
  double worst_ = 0;
};

}  // namespace braid::golden
