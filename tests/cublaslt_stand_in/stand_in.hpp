#pragma once
#include <cstddef>
#include <functional>

// What tests ask of the library that stands in for cuBLASLt, and learn from it.
namespace braid::testing {

struct StandInControls {
  std::function<void(void* stream, std::function<void()> work)> put_in_stream;
  int refused_epilogue = 0;        // products with this one are not supported
  bool refuses_by_status = false;  // by a status; else by finding nothing
  bool fails = false;              // products fail
  int searches = 0;                // for an algorithm
  int products = 0;
  int rounded_products = 0;         // of them, those of operands in bfloat16
  std::size_t workspace_bytes = 0;  // of the last product
  int descriptors = 0;              // that live, handles among them
};

}  // namespace braid::testing

// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" braid::testing::StandInControls* braid_stand_in_controls();
