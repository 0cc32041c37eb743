#include "tests/golden_runner/check.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace braid::golden {
namespace {

std::string in_full(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

}  // namespace

Tolerance Check::unit_tolerance(const std::string& role_and_name) const {
  const auto& stated = golden_.description().at("tolerance");
  if (stated.contains("tensors") && stated.at("tensors").contains(role_and_name)) {
    const auto& pair = stated.at("tensors").at(role_and_name);
    return {pair.at(0).get<double>(), pair.at(1).get<double>()};
  }
  return {stated.at("rtol").get<double>(), stated.at("atol").get<double>()};
}

Tolerance Check::group_tolerance(const std::string& group,
                                 const std::vector<double>& expected) const {
  const auto& stated = golden_.description().at("tolerance").at(group);
  double largest = stated.at("floor").get<double>();
  for (double value : expected) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return {0, stated.at("relative").get<double>() * largest};
}

bool Check::same_shape(const std::string& what, const Shape& got, const Shape& expected) {
  if (got == expected) return true;
  failures_.push_back(what + ": shape " + to_string(got) + " instead of " + to_string(expected));
  return false;
}

void Check::values(const std::string& what, const std::vector<double>& got,
                   const std::vector<double>& expected, Tolerance tolerance,
                   const std::function<bool(std::size_t)>& leave_out) {
  if (got.size() != expected.size()) {
    failures_.push_back(what + ": " + std::to_string(got.size()) + " values instead of " +
                        std::to_string(expected.size()));
    return;
  }
  std::size_t wrong = 0;
  std::size_t place = 0;
  double share = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (leave_out && leave_out(i)) continue;
    if (std::isnan(expected[i]) ? std::isnan(got[i]) : got[i] == expected[i]) continue;
    const double allowed = tolerance.absolute + tolerance.relative * std::abs(expected[i]);
    const double apart = std::abs(got[i] - expected[i]);
    // Also false where one of the two is NaN or infinite.
    const bool near = apart <= allowed;
    if (near) worst_ = std::max(worst_, allowed == 0 ? 0 : apart / allowed);
    if (near) continue;
    ++wrong;
    const double far = std::isfinite(apart) && allowed > 0 ? apart / allowed : HUGE_VAL;
    if (far > share || wrong == 1) {
      share = far;
      place = i;
    }
  }
  if (wrong == 0) return;
  failures_.push_back(what + ": " + std::to_string(wrong) + " of " + std::to_string(got.size()) +
                      " values wrong; [" + std::to_string(place) + "] is " + in_full(got[place]) +
                      " instead of " + in_full(expected[place]) + ", " + in_full(share) +
                      " tolerances off");
}

void Check::unit(const std::string& role_and_name, const Numbers& got,
                 const std::function<bool(std::size_t)>& leave_out) {
  compared_.insert(role_and_name);
  const Numbers expected = golden_.numbers(role_and_name);
  if (!same_shape(role_and_name, got.shape, expected.shape)) return;
  values(role_and_name, got.values, expected.values, unit_tolerance(role_and_name), leave_out);
}

void Check::group(const std::string& group, const std::string& role_and_name, const Numbers& got) {
  compared_.insert(role_and_name);
  const Numbers expected = golden_.numbers(role_and_name);
  if (!same_shape(role_and_name, got.shape, expected.shape)) return;
  values(role_and_name, got.values, expected.values, group_tolerance(group, expected.values));
}

void Check::exact(const std::string& role_and_name, const Numbers& got) {
  compared_.insert(role_and_name);
  const Numbers expected = golden_.numbers(role_and_name);
  if (same_shape(role_and_name, got.shape, expected.shape))
    values(role_and_name, got.values, expected.values, {});
}

void Check::that(bool holds, const std::string& what) {
  if (!holds) failures_.push_back(what);
}

void Check::require_all_compared(const std::vector<std::string>& roles) {
  for (const std::string& role : roles) {
    for (const std::string& name : golden_.names_under(role)) {
      if (!compared_.contains(role + name))
        failures_.push_back(role + name + " was never compared");
    }
  }
}

}  // namespace braid::golden
