#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What variables of the environment ask for; README.md lists them. One that is empty asks for
// nothing.
namespace braid {

// Absent where nothing is asked for.
std::optional<std::string> environment(const char* variable);

// A whole number from `least` to `most`. RangeError for anything else.
std::optional<std::int64_t> environment_number(const char* variable, std::int64_t least,
                                               std::int64_t most);

// One of the known words, or several with commas between them. NameError for others.
std::vector<std::string> environment_words(const char* variable,
                                           std::initializer_list<std::string_view> known);

// Whether what is told unasked on standard error is wanted: not with BRAID_WARNINGS=off. NameError
// for another word.
bool warnings_wanted();

}  // namespace braid
