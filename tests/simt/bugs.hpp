#pragma once
#include <cstdint>
#include <vector>

// Classic mistakes of CUDA kernels, each planted in a small kernel that is right without it. They
// test the emulated device: what its flavours find is kept true by tests/simt_bugs_test.cpp.
namespace braid::samples {

// Global memory that a bug may use, with room around it.
struct BugMemory {
  float* in;        // [count]    read
  float* out;       // [count]    what is compared
  unsigned* words;  // [64]       start as 0
  int count;        // a multiple of 64
};

// Whether a flavour reports a bug, or gives a wrong result. Chance: it depends on what lies on the
// stack.
enum class Found { no, yes, by_chance };

struct Bug {
  const char* name;
  void (*run)(const BugMemory&, bool planted);
  Found plain;
  Found address;
  Found race;
};
std::vector<Bug> bugs_within_blocks();
std::vector<Bug> bugs_between_blocks();
inline std::vector<Bug> every_bug() {
  std::vector<Bug> bugs = bugs_within_blocks();
  for (const Bug& bug : bugs_between_blocks()) bugs.push_back(bug);
  return bugs;
}

}  // namespace braid::samples
