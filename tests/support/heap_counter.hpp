#pragma once
#include <cstdint>

namespace braid::testing {

// Calls of operator new so far, of all threads: programs that link this file count them. Not under
// the address sanitizer, which has an operator new of its own.
std::int64_t heap_requests();

}  // namespace braid::testing
