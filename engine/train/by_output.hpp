#pragma once
#include <cstddef>
#include <string>
#include <vector>

// What compile() is given by output, or by the names of some outputs. `what` is said in errors: "a
// loss", "losses".
namespace braid {

// The place of an output. NameError for an unknown one.
std::size_t find_output(const std::vector<std::string>& outputs, const std::string& name,
                        const char* what);

// ShapeError unless so many came as there are outputs.
void require_count(std::size_t came, const std::vector<std::string>& outputs, const char* what);

}  // namespace braid
