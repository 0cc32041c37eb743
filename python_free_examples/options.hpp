#pragma once
#include <CLI/CLI.hpp>
#include <braid/braid.hpp>
#include <cstdint>
#include <string>

// What every example takes on its command line.
struct ExampleOptions {
  std::string data = {};  // a file or folder; empty: data that the example makes itself
  std::int64_t epochs = 5;
  std::int64_t batch_size = 32;
  std::uint64_t seed = 1;
  std::string device = "best";
  std::int64_t limit = 0;  // rows to use; 0: all
};

// Reads the options, starting from the example's defaults, and seeds and places what follows. Calls
// `run`; errors become one line on standard error and a status of 1.
template <class Run>
int run_example(int argc, char** argv, const std::string& purpose, ExampleOptions options,
                const Run& run) {
  CLI::App app{purpose};
  app.option_defaults()->always_capture_default();
  app.add_option("--data", options.data,
                 "Real data to train on; without it the example makes its own");
  app.add_option("--epochs", options.epochs, "Times to go through the data")
      ->check(CLI::PositiveNumber);
  app.add_option("--batch-size", options.batch_size, "Rows a step")->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "Of weights, shuffles and dropout");
  app.add_option("--device", options.device, "cpu, cuda, cuda:1 or best");
  app.add_option("--limit", options.limit, "Use at most this many rows; 0: all")
      ->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    braid::set_default_device(braid::Device::named(options.device));
    braid::set_random_seed(options.seed);
    run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
