// Runs the tests; a run of all of them must have launched every kernel.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include <iostream>

#include "tests/support/kernel_launch.hpp"

int main(int argc, char** argv) {
  Catch::Session session;
  if (const int status = session.applyCommandLine(argc, argv); status != 0) return status;
  const int failed = session.run();
  const auto& config = session.configData();
  const bool ran_all = config.testsOrTags.empty() && !config.showHelp && !config.listTests &&
                       !config.listTags && !config.listReporters;
  if (failed != 0 || !ran_all) return failed;
  return braid::testing::every_kernel_was_launched(std::cerr) ? 0 : 1;
}
