#pragma once
#include <cstdint>

namespace braid {

// Bytes of memory that the machine could still give, as far as it tells; -1 if it does not.
std::int64_t free_memory();

}  // namespace braid
