#include "tests/support/kernel_proof.hpp"

#include <set>
#include <utility>

#include "kernels/simt/machine.hpp"
#include "tests/support/kernel_launch.hpp"

namespace braid::testing {
namespace {

std::string without_arguments(const std::string& kernel) {
  return kernel.substr(0, kernel.find('<'));
}

}  // namespace

std::vector<std::string> not_proven(const std::vector<std::string>& functions,
                                    const std::map<std::string, simt::LaunchRecord>& records) {
  std::map<std::string, unsigned> orders;
  for (const auto& [name, record] : records)
    orders[without_arguments(short_kernel_name(name))] |= record.orders;
  static const std::vector<std::pair<simt::Order, std::string>> every_order{
      {simt::Order::forward, "forward"},
      {simt::Order::reverse, "in reverse"},
      {simt::Order::random, "in random order"}};
  std::vector<std::string> missing;
  for (const std::string& function : functions) {
    const unsigned seen = orders[function];
    if (seen == 0) missing.push_back("no test executes the GPU's " + function);
    for (const auto& [order, name] : every_order) {
      if (seen != 0 && (seen >> static_cast<unsigned>(order) & 1U) == 0)
        missing.push_back("no test executes the threads of the GPU's " + function + " " + name);
    }
  }
  return missing;
}

std::vector<std::string> instances_never_executed(
    const std::vector<std::string>& launchable,
    const std::map<std::string, simt::LaunchRecord>& records) {
  std::set<std::string> missing;
  for (const std::string& name : launchable) missing.insert(short_kernel_name(name));
  for (const auto& [name, record] : records) missing.erase(short_kernel_name(name));
  missing.erase("");
  return {missing.begin(), missing.end()};
}

}  // namespace braid::testing
