#include "engine/core/environment.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>

#include "engine/core/error.hpp"

namespace braid {

std::optional<std::string> environment(const char* variable) {
  const char* const wish = std::getenv(variable);
  if (wish == nullptr || *wish == '\0') return std::nullopt;
  return wish;
}

std::optional<std::int64_t> environment_number(const char* variable, std::int64_t least,
                                               std::int64_t most) {
  const std::optional<std::string> wish = environment(variable);
  if (!wish) return std::nullopt;
  std::int64_t number = 0;
  const char* const end = wish->data() + wish->size();
  const auto [rest, error] = std::from_chars(wish->data(), end, number);
  if (error != std::errc{} || rest != end || number < least || number > most) {
    throw RangeError(std::string(variable) + "=" + *wish + ": a whole number from " +
                     std::to_string(least) + " to " + std::to_string(most) + " is expected");
  }
  return number;
}

std::vector<std::string> environment_words(const char* variable,
                                           std::initializer_list<std::string_view> known) {
  std::vector<std::string> words;
  std::istringstream wish(environment(variable).value_or(""));
  for (std::string word; std::getline(wish, word, ',');) {
    if (std::find(known.begin(), known.end(), word) == known.end()) {
      throw NameError(std::string(variable) + "=" + wish.str() + ": known are " +
                      quoted_list({known.begin(), known.end()}));
    }
    words.push_back(word);
  }
  return words;
}

bool warnings_wanted() { return environment_words("BRAID_WARNINGS", {"off"}).empty(); }

}  // namespace braid
