#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/launch.hpp"

namespace braid {

// Steps one after another without the host between them, always the same ones for a key
// (new_launch_key). Each fills the inputs on the device, runs the program, ends and updates. What
// fills and ends are kernels of row programs alone (kernels/row_program.hpp): they share the
// launches of the program where they can. What ends a step reads `ended_outputs` of the program and
// may change the state of dropout; launches that only make other outputs may follow it.
struct Steps {
  std::uint64_t key = 0;
  std::int64_t count = 1;
  // Rows first .. first + rows - 1.
  std::function<void(const kernels::Stream&, const std::vector<std::byte*>& inputs,
                     std::int64_t first, std::int64_t rows)>
      fill = {};
  std::function<void(const kernels::Stream&)> end = {};
  std::span<const std::size_t> ended_outputs = {};
  std::function<void()> update = {};
};

}  // namespace braid
