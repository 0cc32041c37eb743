// Runs the tests; a run of all of them must have launched every kernel, and one of those that are
// chosen too where BRAID_EVERY_KERNEL is set.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <cstdlib>
#include <iostream>

#include "tests/support/kernel_launch.hpp"

int main(int argc, char** argv) {
  Catch::Session session;
  if (const int status = session.applyCommandLine(argc, argv); status != 0) return status;
  const int failed = session.run();
  const auto& config = session.configData();
  const bool ran_all = config.testsOrTags.empty() && !config.showHelp && !config.listTests &&
                       !config.listTags && !config.listReporters;
  const bool must_be_all = ran_all || std::getenv("BRAID_EVERY_KERNEL") != nullptr;
  if (failed != 0 || !must_be_all) return failed;
  return braid::testing::every_kernel_was_launched(std::cerr) ? 0 : 1;
}
