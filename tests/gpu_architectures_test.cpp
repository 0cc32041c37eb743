// For which GPUs a build has kernels: what Device::best() goes by.
#include "kernels/simt/gpu_architectures.hpp"

#include "tests/support/catch.hpp"

using braid::simt::architecture_runs_on;
using braid::simt::architectures_run_on;

TEST_CASE("gpu architectures: machine code runs on later GPUs of its generation alone") {
  CHECK(architecture_runs_on("80-real", 8, 0));
  CHECK(architecture_runs_on("80-real", 8, 9));
  CHECK_FALSE(architecture_runs_on("86-real", 8, 0));
  CHECK_FALSE(architecture_runs_on("80-real", 9, 0));
  CHECK_FALSE(architecture_runs_on("80-real", 7, 5));
  CHECK(architecture_runs_on("120-real", 12, 1));
  CHECK_FALSE(architecture_runs_on("120-real", 10, 0));
}

TEST_CASE("gpu architectures: PTX runs on all later GPUs, and without a word there is both") {
  CHECK(architecture_runs_on("80-virtual", 8, 0));
  CHECK(architecture_runs_on("80-virtual", 12, 0));
  CHECK_FALSE(architecture_runs_on("80-virtual", 7, 5));
  CHECK(architecture_runs_on("86", 8, 9));
  CHECK(architecture_runs_on("86", 9, 0));
  CHECK_FALSE(architecture_runs_on("86", 8, 0));
}

TEST_CASE("gpu architectures: what bears a letter is for one GPU") {
  CHECK(architecture_runs_on("90a-real", 9, 0));
  CHECK_FALSE(architecture_runs_on("90a-real", 10, 0));
  CHECK_FALSE(architecture_runs_on("90a", 10, 0));
  CHECK_FALSE(architecture_runs_on("90a-virtual", 12, 0));
}

TEST_CASE("gpu architectures: code for an older GPU uses none of a newer one's matrix units") {
  using braid::simt::kFirstWithMatrixUnits;
  CHECK(architectures_run_on("75", 9, 0));
  CHECK_FALSE(architectures_run_on("75", 9, 0, kFirstWithMatrixUnits));
  CHECK_FALSE(architectures_run_on("75-virtual,90a-real", 8, 0, kFirstWithMatrixUnits));
  CHECK(architectures_run_on("75-virtual,90a-real", 9, 0, kFirstWithMatrixUnits));
  CHECK(architectures_run_on("75-real,80-virtual", 12, 0, kFirstWithMatrixUnits));
  CHECK(architectures_run_on("native", 8, 9, kFirstWithMatrixUnits));
  CHECK_FALSE(architectures_run_on("native", 7, 5, kFirstWithMatrixUnits));
}

TEST_CASE("gpu architectures: of a list one is enough, and what nvcc finds out is taken to run") {
  CHECK(architectures_run_on("75-real,90a-real", 9, 0));
  CHECK(architectures_run_on("75-real,90a-real", 7, 5));
  CHECK_FALSE(architectures_run_on("75-real,90a-real", 8, 0));
  CHECK(architectures_run_on("75-real,80-virtual", 12, 0));
  CHECK_FALSE(architectures_run_on("", 9, 0));
  CHECK(architectures_run_on("native", 8, 9));
}
