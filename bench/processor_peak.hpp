#pragma once
#include <cstdint>

#include "kernels/launch.hpp"

namespace bench {

// Multiplications and additions a second of chains of fused multiply-adds in registers, all threads
// running at once: the best of many short windows, as the machine may be busy with other things.
double peak_operations_per_second(braid::kernels::Backend backend, int threads);

// Bytes read and written a second by threads that go over `bytes` again and again, each over its
// own share: the rate of whichever memory holds that much.
double peak_bytes_per_second(braid::kernels::Backend backend, int threads, std::int64_t bytes);

}  // namespace bench
