// What variables of the environment ask for, and words about what they may not.
#include "engine/core/environment.hpp"

#include "tests/support/on_device.hpp"
#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

constexpr const char* kVariable = "BRAID_OF_A_TEST";

}  // namespace

TEST_CASE("environment: a variable that is empty, or not there, asks for nothing") {
  CHECK(environment(kVariable) == std::nullopt);
  const Environment empty(kVariable, "");
  CHECK(environment(kVariable) == std::nullopt);
  CHECK(environment_number(kVariable, 1, 9) == std::nullopt);
  CHECK(environment_words(kVariable, {"one"}).empty());
}

TEST_CASE("environment: numbers are whole, and within limits") {
  for (const char* const number : {"1", "7", "1024"}) {
    const Environment wish(kVariable, number);
    CHECK(environment_number(kVariable, 1, 1024) == std::stoll(number));
  }
  for (const char* const other :
       {"0", "-1", "1025", "many", "7 ", " 7", "7.5", "2k", "99999999999999999999"}) {
    const Environment wish(kVariable, other);
    check_refused<RangeError>([] { environment_number(kVariable, 1, 1024); },
                              {"BRAID_OF_A_TEST=" + std::string(other) + ": ",
                               "a whole number from 1 to 1024 is expected"});
  }
}

TEST_CASE("environment: words are known, and may be several") {
  const auto words = [] { return environment_words(kVariable, {"graph", "plan"}); };
  const Environment wish(kVariable, "plan,graph");
  CHECK(words() == std::vector<std::string>{"plan", "graph"});
  const Environment wrong(kVariable, "graph,plans");
  check_refused<NameError>(words,
                           {"BRAID_OF_A_TEST=graph,plans: known are \"graph\" and \"plan\""});
}

TEST_CASE("environment: warnings are wanted unless they are off") {
  CHECK(warnings_wanted());
  {
    const Environment wish("BRAID_WARNINGS", "off");
    CHECK_FALSE(warnings_wanted());
  }
  const Environment wrong("BRAID_WARNINGS", "none");
  check_refused<NameError>([] { warnings_wanted(); }, {"BRAID_WARNINGS=none: known are \"off\""});
}

TEST_CASE("environment: a wish that cannot be met is refused where it is asked for") {
  const OnDevice here(Device::emulated());
  Sample sample = two_inputs(20);
  const auto fit = [&] {
    sample.model.fit(sample.x, sample.y, {.batch_size = 8, .epochs = 1, .verbose = 0});
  };
  const Environment whole("BRAID_NO_RESIDENT_DATA", "1");
  {
    const Environment wish("BRAID_WINDOW_BYTES", "2MB");
    check_refused<RangeError>(fit, {"BRAID_WINDOW_BYTES=2MB: a whole number from 1 to "});
  }
  {
    const Environment wish("BRAID_DUMP", "all");
    check_refused<NameError>(fit, {"BRAID_DUMP=all: known are", "\"program\" and \"data\""});
  }
  fit();
}
