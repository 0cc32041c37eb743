// No op without a check: what the sources define is held against what the op checks run.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/catch.hpp"
#include "tests/support/op_check.hpp"
#include "tests/support/source_folder.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

namespace fs = std::filesystem;

void collect(const std::string& text, const std::regex& pattern, std::set<std::string>& found) {
  for (auto match = std::sregex_iterator(text.begin(), text.end(), pattern);
       match != std::sregex_iterator(); ++match)
    found.insert((*match)[1]);
}

// Classes of ops that a source defines, and the kinds that it spells out in kind().
std::set<std::string> ops_in(const std::string& source) {
  static const std::regex op_class(R"(class (\w+) final : public (?:\w*Op)\b)");
  static const std::regex kind_body(R"(kind\(\) const override \{([^}]*)\})");
  static const std::regex quoted("\"(\\w+)\"");
  std::set<std::string> found;
  collect(source, op_class, found);
  std::set<std::string> bodies;
  collect(source, kind_body, bodies);
  for (const std::string& body : bodies) collect(body, quoted, found);
  return found;
}

std::set<std::string> ops_under(const fs::path& folder) {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::ifstream stream(entry.path());
    std::stringstream text;
    text << stream.rdbuf();
    found.merge(ops_in(text.str()));
  }
  return found;
}

std::vector<std::string> without(const std::set<std::string>& all,
                                 const std::set<std::string>& some) {
  std::vector<std::string> rest;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(), std::back_inserter(rest));
  return rest;
}

}  // namespace

TEST_CASE("every op has a check of its values and gradients") {
  const std::set<std::string> defined = ops_under(fs::path(source_folder()) / "engine/graph/ops");
  CHECK(defined.contains("DenseWeightGradient"));
  CHECK(defined.contains("log_softmax_gradient"));
  std::set<std::string> checked;
  for (const OpFamily::Maker make : OpFamily::makers()) {
    for (const OpCheck& problem : make()) {
      // Large problems hold no other ops than small ones, but take their time.
      std::int64_t elements = 0;
      for (const OpInput& input : problem.inputs) elements += input.array.elements();
      if (elements < 20000) checked.merge(ops_of(problem));
    }
  }
  // An op that stands here needs an OpCheck in a list that its file registers with OpFamily.
  CHECK(without(defined, checked) == std::vector<std::string>{});
  // The operators' kinds are the names of a table.
  for (const char* kind : {"add", "subtract", "multiply", "divide", "maximum", "minimum"})
    CHECK(checked.contains(kind));
}

TEST_CASE("an op without a check would be found") {
  const std::set<std::string> found = ops_in(R"(
    class Blur final : public Op {
     public:
      std::string_view kind() const override { return strong_ ? "strong_blur" : "blur"; }
    };
    class Turn final : public MovingOp {
      std::string_view kind() const override {
        return "turn";
      }
    };
    class Recipe final : public Printable {};
  )");
  CHECK(found == std::set<std::string>{"Blur", "Turn", "blur", "strong_blur", "turn"});
  CHECK(without(found, {"Blur", "blur", "Turn", "turn"}) ==
        std::vector<std::string>{"strong_blur"});
}
