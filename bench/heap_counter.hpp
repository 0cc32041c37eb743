#pragma once
#include <cstdint>

namespace bench {

// Calls of operator new so far, of all threads: programs that link this file count them.
std::int64_t heap_requests();

}  // namespace bench
