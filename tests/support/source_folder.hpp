#pragma once
#include <cstdlib>
#include <string>

namespace braid::testing {

// The source tree: where this program was built, or BRAID_SOURCE where it was carried elsewhere.
inline std::string source_folder() {
  const char* elsewhere = std::getenv("BRAID_SOURCE");
  return elsewhere != nullptr && *elsewhere != '\0' ? elsewhere : BRAID_SOURCE_DIR;
}

}  // namespace braid::testing
