#pragma once
#include <cstdint>

namespace braid::simt {

// Dynamic shared memory that a launch gets without asking the driver for it. A kernel that declares
// no more than 16 KB itself then stays within the 48 KB that every kernel may have in all.
constexpr std::int64_t kSharedWithoutAsking = 32 * 1024;

}  // namespace braid::simt
