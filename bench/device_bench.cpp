// Times the kernels of a GPU one by one.
//
//   braid_device_bench [--device cuda] [--precision float32] [--only TEXT] [--budget SECONDS]
//                      [--json FILE]
//   braid_device_bench --device cuda --facts    what the device says of itself, as JSON
//   braid_device_bench --device cuda --serve    answers the requests of device_server.hpp
//
// --precision is that of products: float32, tf32 or bfloat16. What an LSTM does with its hidden
// state is float32 at each of them.
//
// --device emulated runs everything at small sizes on the emulated device of the tests: that shows
// that the launches are right; its times say nothing and are not printed. Ends with status 3 where
// no device answers.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/ceilings.hpp"
#include "bench/clock.hpp"
#include "bench/device_facts.hpp"
#include "bench/device_problems.hpp"
#include "bench/device_server.hpp"
#include "bench/launch_clock.hpp"
#include "bench/precision_names.hpp"

using namespace braid;
using bench::Clock;
using bench::seconds_since;
using nlohmann::json;

namespace {

constexpr int kNoDevice = 3;

struct Options {
  Device device = Device::cpu();
  bench::Precision precision = bench::Precision::float32;
  std::string only;
  std::string json_file;
  double budget = std::numeric_limits<double>::infinity();
  bool facts = false;
  bool serve = false;
};

json to_json(const bench::DeviceFacts& facts) {
  return {{"name", facts.name},
          {"capability", facts.capability},
          {"multiprocessors", facts.multiprocessors},
          {"driver", facts.driver},
          {"runtime", facts.runtime},
          {"cache_bytes", facts.cache_bytes},
          {"memory_bytes", facts.memory_bytes},
          {"bytes_per_second", facts.bytes_per_second},
          {"float32_per_second", facts.float32_per_second},
          {"tf32_per_second", facts.tf32_per_second},
          {"bfloat16_per_second", facts.bfloat16_per_second}};
}

std::string rounded(double value, int figures = 3) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*g", figures, value);
  return text;
}

void print_row(const bench::Problem& problem, const bench::Effort& effort, const bench::Time& time,
               const bench::Ceilings& ceilings) {
  const double floor = ceilings.floor_us(effort);
  std::printf("%-26s %-28s %9s %9s %8.0f %8.2f %9s %6.0f %%", problem.kernel.c_str(),
              problem.size.c_str(), rounded(time.least, 4).c_str(), rounded(time.median, 4).c_str(),
              effort.bytes / time.least * 1e-3, effort.operations / time.least * 1e-6,
              rounded(floor).c_str(), 100 * floor / time.least);
  if (effort.steps > 0)
    std::printf("  %s us a time step",
                rounded(time.least / static_cast<double>(effort.steps)).c_str());
  std::printf("\n");
  std::fflush(stdout);
}

json row_of(const bench::Problem& problem, const bench::Effort& effort, const bench::Time& time,
            const bench::Ceilings& ceilings) {
  return {{"kernel", problem.kernel},
          {"size", problem.size},
          {"least_us", time.least},
          {"median_us", time.median},
          {"wall_us", time.wall},
          {"bytes", effort.bytes},
          {"operations", effort.operations},
          {"steps", effort.steps},
          {"floor_us", ceilings.floor_us(effort)},
          {"precision", bench::name_of(effort.precision)}};
}

int run_all(const Options& options) {
  const auto start = Clock::now();
  const bool real = options.device.kind() == Device::Kind::cuda;
  const bench::LaunchClock clock(options.device);
  const bench::Ceilings ceilings{bench::facts_of(options.device), bench::spin_up(options.device)};
  if (real) {
    std::printf(
        "%s: a copy moves %.0f GB/s (%.0f by clock and width); float32 %.1f TFLOP/s by "
        "clock and units\n",
        ceilings.facts.name.c_str(), ceilings.copied * 1e-9, ceilings.facts.bytes_per_second * 1e-9,
        ceilings.facts.float32_per_second * 1e-12);
    std::printf("products in %s\n", bench::name_of(options.precision));
    std::printf("%-26s %-28s %9s %9s %8s %8s %9s %8s\n", "kernel", "size", "least us", "median us",
                "GB/s", "TFLOP/s", "floor us", "of floor");
  } else {
    std::printf("on the emulated device: every kernel is launched, nothing is measured\n");
  }
  json rows = json::array();
  int left_out = 0;
  for (const bench::Problem& problem :
       bench::all_problems(real ? kernels::Backend::cuda : kernels::Backend::emulated)) {
    if ((problem.kernel + " " + problem.size).find(options.only) == std::string::npos) continue;
    if (seconds_since(start) > options.budget) {
      ++left_out;
      continue;
    }
    if (!problem.present) {
      std::printf("%-26s %-28s skipped: the GPU lacks this kernel\n", problem.kernel.c_str(),
                  problem.size.c_str());
      continue;
    }
    bench::Operands operands(options.device, options.precision, !real);
    bench::Effort effort;
    const bench::Time time = clock.time(clock.record(problem.make(operands, effort)));
    if (real) {
      print_row(problem, effort, time, ceilings);
      rows.push_back(row_of(problem, effort, time, ceilings));
    } else {
      std::printf("%-26s %-28s launched\n", problem.kernel.c_str(), problem.size.c_str());
    }
  }
  if (left_out > 0)
    std::printf("left out: %d kernels, as %.0f seconds were over\n", left_out, options.budget);
  if (!options.json_file.empty() && real) {
    std::ofstream(options.json_file)
        << json{{"device", to_json(ceilings.facts)}, {"copied", ceilings.copied}, {"rows", rows}}
               .dump(1)
        << '\n';
  }
  return 0;
}

void reply(const json& value) { std::cout << value.dump() << std::endl; }

Options read_options(int count, char** words) {
  Options options;
  std::string device = "cuda";
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == count) throw NameError(word + " wants a value");
      return words[++i];
    };
    if (word == "--device") {
      device = value();
    } else if (word == "--precision") {
      options.precision = bench::precision_named<bench::Precision>(value());
    } else if (word == "--only") {
      options.only = value();
    } else if (word == "--budget") {
      options.budget = std::atof(value().c_str());
    } else if (word == "--json") {
      options.json_file = value();
    } else if (word == "--facts") {
      options.facts = true;
    } else if (word == "--serve") {
      options.serve = true;
    } else {
      throw NameError("unknown option \"" + word + "\"");
    }
  }
  options.device = Device::named(device);
  if (options.device == Device::cpu())
    throw NameError("the kernels of the CPU are timed by braid_lstm_bench and braid_step_bench");
  return options;
}

}  // namespace

int main(int count, char** words) {
  Options options;
  try {
    options = read_options(count, words);
  } catch (const DeviceError& error) {
    std::cout << "no device: " << error.what() << std::endl;
    return kNoDevice;
  } catch (const std::exception& error) {
    std::cout << "braid_device_bench: " << error.what() << std::endl;
    return 2;
  }
  try {
    if (options.facts) {
      reply(to_json(bench::facts_of(options.device)));
      return 0;
    }
    if (!options.serve) return run_all(options);
    bench::serve_device(options.device, options.precision);
    return 0;
  } catch (const std::exception& error) {
    std::cout << "braid_device_bench: " << error.what() << std::endl;
    return 1;
  }
}
