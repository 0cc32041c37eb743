#pragma once
#include <braid/device.hpp>

#include "engine/core/error.hpp"
#include "engine/runtime/program.hpp"

// What runs of a program ask a device for, beside the arena.
namespace braid {

// Bytes of an input that the program reads, and what it takes on a device: as far from the next one
// as separate allocations are.
std::int64_t input_bytes(const Program& program, std::size_t input);
std::int64_t input_room(const Program& program, std::size_t input);
// The state of a run, in front of the inputs.
constexpr std::int64_t kStateBytes = 256;

// The program did not get all of this: how much it is, what is free, and what takes most of it.
OutOfMemory not_enough_for(const Program& program, Device device);

}  // namespace braid
