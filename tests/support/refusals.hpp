#pragma once
// What is refused: with which type of error, in which words, and that nothing has changed by it.
#include <string>
#include <vector>

#include <braid/error.hpp>

#include "tests/support/catch.hpp"

namespace braid::testing {

// The call throws `Expected` and its message holds all of these words.
template <class Expected, class Call>
void check_refused(const Call& call, const std::vector<std::string>& words) {
  std::string expected;
  for (const std::string& word : words) expected += " | " + word;
  INFO("expected words:" << expected);
  try {
    call();
  } catch (const Expected& error) {
    for (const std::string& word : words) CHECK_THAT(error.what(), ContainsSubstring(word));
    return;
  } catch (const std::exception& error) {
    FAIL_CHECK("an error of another type: " << error.what());
    return;
  }
  FAIL_CHECK("nothing was thrown");
}

}  // namespace braid::testing
