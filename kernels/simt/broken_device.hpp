#pragma once
#include <string>

// The emulated device after a fault that it does not get over (emulated_faults.hpp), as CUDA has
// it.
namespace braid::simt {

// Counts a launch. True if the device does not carry it out: this launch breaks it, or one before
// has.
bool breaks_here();
// Nothing is carried out any more; perhaps nobody knows of it.
bool is_broken();

// DeviceError if the device is broken: for calls that wait, and so learn of it.
void require_whole(const std::string& call);
// DeviceError if somebody has learnt that it is broken: for calls that return at once.
void require_not_known_broken(const std::string& call);

}  // namespace braid::simt
