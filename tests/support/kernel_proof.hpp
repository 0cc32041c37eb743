#pragma once
#include <map>
#include <string>
#include <vector>

#include "kernels/simt/launch_records.hpp"

namespace braid::testing {

// What is said of each function of a GPU that did not run on the emulated device, or not in all
// orders of its threads: forward, reverse and random.
std::vector<std::string> not_proven(const std::vector<std::string>& functions,
                                    const std::map<std::string, simt::LaunchRecord>& records);
// The instances of templates that sources launch and no test executed.
std::vector<std::string> instances_never_executed(
    const std::vector<std::string>& launchable,
    const std::map<std::string, simt::LaunchRecord>& records);

}  // namespace braid::testing
