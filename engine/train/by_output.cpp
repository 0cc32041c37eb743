#include "engine/train/by_output.hpp"

#include <algorithm>

#include "engine/core/error.hpp"

namespace braid {

std::size_t find_output(const std::vector<std::string>& outputs, const std::string& name,
                        const char* what) {
  const auto found = std::find(outputs.begin(), outputs.end(), name);
  if (found == outputs.end()) {
    throw NameError(std::string("compile: ") + what + " for an unknown output \"" + name +
                    "\"; the outputs are " + quoted_list(outputs) + "." +
                    suggestion(name, outputs));
  }
  return static_cast<std::size_t>(found - outputs.begin());
}

void require_count(std::size_t came, const std::vector<std::string>& outputs, const char* what) {
  if (came == outputs.size()) return;
  throw ShapeError("compile: " + std::to_string(came) + " " + what + " for " +
                   std::to_string(outputs.size()) + " outputs (" + quoted_list(outputs) + ")");
}

}  // namespace braid
