#pragma once
#include <cstddef>
#include <cstdint>

// What may befall a program on a device, for tests that want to see what becomes of it.
namespace braid::simt {

// The emulated device has so many bytes of memory; 0: as many as the host.
void limit_device_memory(std::size_t bytes);
std::size_t used_device_memory();
// It says that so many bytes are free, whether or not they are; 0: it tells the truth.
void pretend_free_memory(std::size_t bytes);

// After so many more launches one fails, as a kernel that touched what it must not; the launches
// behind it run again. A negative number: none fails.
void fail_after_launches(std::int64_t launches);

}  // namespace braid::simt
