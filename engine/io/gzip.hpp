#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace braid {

// The whole content of a file, unpacked if it is a gzip file (of one member or several). IoError if
// it cannot be read, FormatError if it is a gzip file that is cut short or damaged.
std::vector<std::byte> read_unpacked(const std::string& path);

}  // namespace braid
