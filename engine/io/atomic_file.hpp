#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace braid {

// Puts the pieces, one after another, into the file: through a temporary file beside it, fsync and
// rename, so that readers see the old content or the new one. IoError with the path and the reason;
// then the old file stands and no temporary is left.
void write_atomically(const std::string& path,
                      const std::vector<std::span<const std::byte>>& pieces);

// The whole content. IoError if it cannot be read.
std::vector<std::byte> read_file(const std::string& path);

}  // namespace braid
