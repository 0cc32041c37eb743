// The shape of the tree: what lies at its top, which folder may include which, what a public header
// may include, and what kernels may define.
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"

namespace {

namespace fs = std::filesystem;

struct Include {
  std::string file;  // from the root of the tree
  int line = 0;
  std::string target;  // as written between the quotes or brackets
  bool quoted = false;
};

std::string describe(const Include& include) {
  return include.file + ":" + std::to_string(include.line) + " includes " + include.target;
}

std::vector<Include> includes_of(const fs::path& root, const fs::path& file) {
  static const std::regex pattern(R"re(^\s*#\s*include\s*(["<])([^">]+)[">].*)re");
  std::vector<Include> found;
  std::ifstream stream(file);
  std::string text;
  for (int line = 1; std::getline(stream, text); ++line) {
    std::smatch match;
    if (!std::regex_match(text, match, pattern)) continue;
    found.push_back({fs::relative(file, root).generic_string(), line, match[2], match[1] == "\""});
  }
  return found;
}

std::vector<Include> includes_under(const fs::path& root, const std::vector<std::string>& folders) {
  std::vector<Include> found;
  for (const std::string& folder : folders) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".hpp" && extension != ".cpp") continue;
      const std::vector<Include> in_file = includes_of(root, entry.path());
      found.insert(found.end(), in_file.begin(), in_file.end());
    }
  }
  return found;
}

// "braid/tensor.hpp" -> "engine/core/tensor.hpp", as the build has it.
using PublicHeaders = std::map<std::string, std::string>;

PublicHeaders public_headers() {
  PublicHeaders headers;
  std::ifstream stream(fs::path(BRAID_BINARY_DIR) / "public_headers.txt");
  for (std::string name, file; stream >> name >> file;) headers[name] = file;
  return headers;
}

// A place of the tree that the arrows speak of: "engine/core", "kernels", "layers"; files of
// engine/ itself are "engine".
std::string place_of(const std::string& file) {
  const std::size_t first = file.find('/');
  if (first == std::string::npos) return "";
  const std::string top = file.substr(0, first);
  if (top != "engine") return top;
  const std::size_t second = file.find('/', first + 1);
  return second == std::string::npos ? top : file.substr(0, second);
}

// Which places each place may include, besides itself. What is not named here (tests, bench) may
// include everything.
const std::map<std::string, std::set<std::string>>& allowed_arrows() {
  static const std::map<std::string, std::set<std::string>> arrows{
      {"engine/core", {}},
      {"kernels", {"engine/core"}},
      {"engine/graph", {"engine/core", "kernels"}},
      {"engine/runtime", {"engine/core", "kernels", "engine/graph"}},
      {"engine/io", {"engine/core", "engine/graph"}},
      {"layers", {"engine/core", "kernels", "engine/graph", "engine/runtime"}},
      {"engine/data", {"engine/core", "engine/io"}},
      {"engine/train",
       {"engine/core", "kernels", "engine/graph", "engine/runtime", "engine/io", "engine/data"}},
      {"engine",
       {"engine/core", "engine/graph", "engine/train", "engine/io", "engine/data", "layers"}},
      {"python_free_examples", {}},
  };
  return arrows;
}

// The wrong arrows among the includes, in words.
std::vector<std::string> wrong_arrows(const std::vector<Include>& includes,
                                      const PublicHeaders& headers) {
  std::vector<std::string> wrong;
  for (const Include& include : includes) {
    const std::string from = place_of(include.file);
    const auto rule = allowed_arrows().find(from);
    if (rule == allowed_arrows().end()) continue;
    std::string target = include.target;
    if (!include.quoted) {
      if (!target.starts_with("braid/")) continue;
      const auto header = headers.find(target);
      if (header == headers.end()) {
        wrong.push_back(describe(include) + ", which is not in the list of public headers");
        continue;
      }
      if (from == "python_free_examples") continue;  // a program of a user's
      target = header->second;
    }
    const std::string to = place_of(target);
    if (to.empty() || to == from || rule->second.contains(to)) continue;
    wrong.push_back(describe(include) + ": " + from + " may not know " + to);
  }
  return wrong;
}

// Includes of public headers that a user might not have.
std::vector<std::string> foreign_includes(const std::vector<Include>& includes,
                                          const PublicHeaders& headers) {
  std::vector<std::string> foreign;
  for (const Include& include : includes) {
    const bool standard =
        !include.quoted && include.target.find_first_of("./") == std::string::npos;
    const bool ours = !include.quoted && headers.contains(include.target);
    if (!standard && !ours) foreign.push_back(describe(include));
  }
  return foreign;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// What a command prints; nothing if it cannot be run.
std::vector<std::string> lines_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4096> buffer{};
  while (std::fgets(buffer.data(), buffer.size(), pipe.get()) != nullptr) text += buffer.data();
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// Those of the paths whose first part has no place at the top of the tree.
std::set<std::string> strays_among(const std::vector<std::string>& paths) {
  static const std::set<std::string> places{"CMakeLists.txt",
                                            "CMakePresets.json",
                                            "LICENSE",
                                            "Makefile",
                                            "README.md",
                                            "bench",
                                            "cmake",
                                            "docs",
                                            "engine",
                                            "kernels",
                                            "layers",
                                            "tests",
                                            "python_free_examples"};
  std::set<std::string> strays;
  for (const std::string& path : paths) {
    const std::string top = path.substr(0, path.find('/'));
    if (!top.starts_with('.') && !places.contains(top)) strays.insert(top);
  }
  return strays;
}

}  // namespace

TEST_CASE("structure: nothing is kept at the top of the tree that has no place there") {
  CHECK(strays_among({".ci/run", "Makefile", "engine/core/tensor.hpp", "notes.txt", "old/a.cpp",
                      "old/b.cpp"}) == std::set<std::string>{"notes.txt", "old"});
  const auto kept = lines_of("git -C '" BRAID_SOURCE_DIR "' ls-files 2>/dev/null");
  if (kept.empty()) {
    std::cout << "skipped: git does not say which files are kept in " BRAID_SOURCE_DIR "\n";
    return;
  }
  CHECK(strays_among(kept) == std::set<std::string>{});
}

TEST_CASE("structure: every include goes from a place to one that it may know") {
  const std::vector<Include> includes =
      includes_under(BRAID_SOURCE_DIR, {"engine", "kernels", "layers", "python_free_examples"});
  REQUIRE(includes.size() > 100);
  const std::vector<std::string> wrong = wrong_arrows(includes, public_headers());
  INFO(joined(wrong));
  CHECK(wrong.empty());
}

TEST_CASE("structure: public headers include the standard library and each other, nothing else") {
  const PublicHeaders headers = public_headers();
  REQUIRE(headers.size() >= 6);
  std::vector<std::string> foreign;
  for (const auto& [name, file] : headers) {
    const fs::path path = fs::path(BRAID_SOURCE_DIR) / file;
    INFO(file << " is listed as a public header");
    CHECK(fs::exists(path));
    const std::vector<std::string> in_file =
        foreign_includes(includes_of(BRAID_SOURCE_DIR, path), headers);
    foreign.insert(foreign.end(), in_file.begin(), in_file.end());
  }
  INFO(joined(foreign));
  CHECK(foreign.empty());
}

TEST_CASE("structure: a wrong arrow is reported with its file, line and target") {
  const PublicHeaders headers{{"braid/tensor.hpp", "engine/core/tensor.hpp"},
                              {"braid/model.hpp", "engine/train/model.hpp"}};
  const auto wrong = [&](const Include& include) {
    return joined(wrong_arrows({include}, headers));
  };
  CHECK(wrong({"kernels/dense.hpp", 3, "engine/core/matrix.hpp", true}).empty());
  CHECK(wrong({"engine/train/model.cpp", 3, "engine/runtime/executor.hpp", true}).empty());
  CHECK(wrong({"python_free_examples/01_a.cpp", 3, "braid/model.hpp", false}).empty());
  CHECK(wrong({"python_free_examples/01_a.cpp", 3, "options.hpp", true}).empty());
  CHECK(wrong({"engine/core/tensor.cpp", 7, "engine/graph/graph.hpp", true}) ==
        "engine/core/tensor.cpp:7 includes engine/graph/graph.hpp: engine/core may not know "
        "engine/graph\n");
  CHECK_FALSE(wrong({"kernels/dense.hpp", 3, "engine/graph/value.hpp", true}).empty());
  CHECK_FALSE(wrong({"engine/graph/graph.cpp", 3, "braid/model.hpp", false}).empty());
  CHECK_FALSE(wrong({"engine/io/csv.cpp", 3, "braid/model.hpp", false}).empty());
  CHECK_FALSE(wrong({"engine/train/model.cpp", 3, "layers/dense.hpp", true}).empty());
  CHECK_FALSE(wrong({"python_free_examples/01_a.cpp", 3, "engine/core/tensor.hpp", true}).empty());
  CHECK_FALSE(wrong({"layers/dense.cpp", 3, "braid/unlisted.hpp", false}).empty());
}

TEST_CASE("structure: a public header that needs more than the standard library is reported") {
  const PublicHeaders headers{{"braid/shape.hpp", "engine/core/shape.hpp"}};
  const auto foreign = [&](const std::string& target, bool quoted) {
    return joined(foreign_includes({{"engine/core/tensor.hpp", 5, target, quoted}}, headers));
  };
  CHECK(foreign("vector", false).empty());
  CHECK(foreign("braid/shape.hpp", false).empty());
  CHECK(foreign("nlohmann/json.hpp", false) ==
        "engine/core/tensor.hpp:5 includes nlohmann/json.hpp\n");
  CHECK_FALSE(foreign("zip.h", false).empty());
  CHECK_FALSE(foreign("engine/core/shape.hpp", true).empty());
  CHECK_FALSE(foreign("braid/private.hpp", false).empty());
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
// The linker keeps one of several weak definitions. Had it the choice, it might keep one with
// instructions that the processor at hand does not have, for callers that have nothing to do with
// kernels.
TEST_CASE(
    "structure: kernels compiled for one instruction set share no symbol with the rest of the "
    "program") {
  std::ifstream list(fs::path(BRAID_BINARY_DIR) / "kernel_objects.txt");
  std::vector<std::string> weak;
  int objects = 0;
  for (std::string object; std::getline(list, object);) {
    if (object.empty()) continue;
    ++objects;
    const fs::path path =
        fs::path(object).is_absolute() ? fs::path(object) : fs::path(BRAID_BINARY_DIR) / object;
    INFO(path);
    REQUIRE(fs::exists(path));
    for (const std::string& line : lines_of("nm -C --defined-only '" + path.string() + "'")) {
      if (std::regex_search(line, std::regex("^[0-9a-f]* *[WVu] ")))
        weak.push_back(path.filename().string() + ": " + line);
    }
  }
  CHECK(objects >= 3);
  INFO(joined(weak));
  CHECK(weak.empty());
}
#endif
