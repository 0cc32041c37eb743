// braid_golden <folder or file...> [--device NAME] [--only TEXT] [--list FILE] [--verbose]: runs
// the cases of golden files, one line a case that does not pass (--verbose: every case), and closes
// with "N passed, N failed, N skipped". With --list the cases that the file names,
// "folder/file/case" a line, must all pass, and no others run; the folder does not count.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/golden_runner/runner.hpp"

namespace {

using namespace braid;
using namespace braid::golden;

struct Options {
  std::vector<std::filesystem::path> places;
  std::string only;
  std::set<std::string> listed;
  bool verbose = false;
};

// "units/losses/mse_none" -> "losses/mse_none".
std::string file_and_case(const std::string& path) {
  const auto last = path.rfind('/');
  const auto before = last == std::string::npos ? last : path.rfind('/', last - 1);
  return before == std::string::npos ? path : path.substr(before + 1);
}

struct Totals {
  int passed = 0;
  int failed = 0;
  int skipped = 0;
  int left_out = 0;
};

Options read_options(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    const bool more = i + 1 < count;
    if (argument == "--verbose") {
      options.verbose = true;
    } else if (argument == "--device" && more) {
      set_default_device(Device::named(arguments[++i]));
    } else if (argument == "--only" && more) {
      options.only = arguments[++i];
    } else if (argument == "--list" && more) {
      std::ifstream list(arguments[++i]);
      for (std::string line; std::getline(list, line);) {
        if (!line.empty()) options.listed.insert(file_and_case(line));
      }
      if (options.listed.empty())
        throw IoError(std::string("cannot read a list of cases from ") + arguments[i]);
    } else {
      options.places.emplace_back(argument);
    }
  }
  return options;
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& place) {
  if (!std::filesystem::is_directory(place)) return {place};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(place)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void report(const Options& options, const std::string& path, const Outcome& outcome,
            Totals& totals) {
  const bool required = !options.listed.empty();
  switch (outcome.verdict) {
    case Verdict::passed:
      ++totals.passed;
      if (options.verbose)
        std::printf("passed  %s  %.2f of its tolerance\n", path.c_str(), outcome.worst);
      break;
    case Verdict::failed:
      ++totals.failed;
      std::printf("FAILED  %s: %s\n", path.c_str(), outcome.reason.c_str());
      break;
    case Verdict::skipped:
      ++(required ? totals.failed : totals.skipped);
      std::printf("%s %s: %s\n", required ? "FAILED (skipped)" : "skipped", path.c_str(),
                  outcome.reason.c_str());
      break;
    case Verdict::left_out: ++totals.left_out; break;
  }
}

int run(const Options& options) {
  Totals totals;
  std::set<std::string> open = options.listed;
  for (const auto& place : options.places) {
    if (!std::filesystem::exists(place))
      throw IoError("there is no golden data at " + place.string());
    for (const auto& file_path : files_in(place)) {
      const std::string stem =
          std::filesystem::relative(file_path, place).replace_extension().string();
      const SafetensorsFile file(file_path.string());
      for (const Case& golden : read_cases(file)) {
        const std::string path = stem + "/" + golden.name();
        if (path.find(options.only) == std::string::npos) continue;
        if (!options.listed.empty() && open.erase(file_and_case(path)) == 0) continue;
        report(options, path, run_case(golden), totals);
      }
    }
  }
  for (const std::string& path : open) {
    ++totals.failed;
    std::printf("FAILED  %s: listed, but in no file\n", path.c_str());
  }
  if (totals.left_out > 0) {
    std::printf(
        "%d cases left out: they keep results of Keras on record that are not to be reproduced\n",
        totals.left_out);
  }
  std::printf("%d passed, %d failed, %d skipped\n", totals.passed, totals.failed, totals.skipped);
  return totals.failed == 0 && totals.passed > 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const Options options = read_options(count, arguments);
    if (options.places.empty()) {
      std::fputs(
          "usage: braid_golden <folder or file...> [--device NAME] [--only TEXT] "
          "[--list FILE] [--verbose]\n",
          stderr);
      return 2;
    }
    // Cases ask for odd things by the hundred; what the engine warns of is not their matter.
    if (!options.verbose) setenv("BRAID_WARNINGS", "off", 0);
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "braid_golden: %s\n", error.what());
    return 2;
  }
}
