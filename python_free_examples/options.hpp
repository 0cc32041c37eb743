#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <braid/braid.hpp>
#include <cstdint>
#include <cstdio>
#include <string>

// What every example takes on its command line.
struct ExampleOptions {
  std::string data = {};  // a file or folder; empty: data that the example makes itself
  std::int64_t epochs = 5;
  std::int64_t batch_size = 32;
  std::uint64_t seed = 1;
  std::string device = "best";
  std::int64_t limit = 0;  // rows to train on; 0: all

  // The first rows of the training data, as many as --limit allows.
  braid::Dataset limited(const braid::Dataset& training) const {
    return limit == 0 ? training : training.slice(0, std::min(limit, training.rows()));
  }
};

struct ExampleProgram {
  std::string purpose;
  std::string data;  // what --data names
  ExampleOptions defaults = {};
};

// Reads the options, seeds and places what follows, and calls `run`. An error becomes one line on
// standard error: status 2 for a wrong option, 1 for anything else.
template <class Run>
int run_example(int argc, char** argv, const ExampleProgram& program, const Run& run) {
  ExampleOptions options = program.defaults;
  const auto at_least = [](std::int64_t least) {
    return [least](const std::string& text) {
      std::int64_t number = 0;
      const bool good = CLI::detail::lexical_cast(text, number) && number >= least;
      return good ? "" : "needs a whole number from " + std::to_string(least) + ", not " + text;
    };
  };
  CLI::App app{program.purpose};
  app.option_defaults()->always_capture_default();
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return failed->get_name() + ": " + error.what() + " (--help lists the options)\n";
  });
  app.add_option("--data", options.data,
                 "Train on real data: " + program.data + ". Without it: on data made up for it");
  app.add_option("--epochs", options.epochs, "Times to go through the data at most")
      ->check(at_least(1), "", "");
  app.add_option("--batch-size", options.batch_size, "Rows a step")->check(at_least(1), "", "");
  app.add_option("--seed", options.seed, "Of data made up, splits, weights, shuffles and dropout");
  app.add_option("--device", options.device, "cpu, cuda, cuda:1 or best");
  app.add_option("--limit", options.limit, "Train on at most this many rows; 0: all")
      ->check(at_least(0), "", "");
  app.name(std::string(argv[0]).substr(std::string(argv[0]).rfind('/') + 1));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    braid::set_default_device(braid::Device::named(options.device));
    braid::set_random_seed(options.seed);
    run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
    return 1;
  }
  return 0;
}
