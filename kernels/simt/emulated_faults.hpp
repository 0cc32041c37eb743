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

// After so many more launches one breaks the device, as a kernel that writes where there is no
// memory: neither it nor anything behind it is carried out; nobody hears of it before the host
// waits for the device; and from then on every call fails. A negative number: none does.
void break_after_launches(std::int64_t launches);
// The device is as a new process would find it.
void mend_device();

}  // namespace braid::simt
