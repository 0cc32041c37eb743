#include "engine/runtime/memory_request.hpp"

#include <algorithm>
#include <functional>

#include "engine/core/device_access.hpp"
#include "engine/runtime/parallel.hpp"
#include "kernels/row_program.hpp"

namespace braid {
namespace {

// A piece of memory, and what it is for.
struct Part {
  std::string what;
  std::int64_t bytes = 0;
};

std::vector<Part> parts_on_device(const Program& program) {
  std::vector<Part> parts;
  parts.push_back({"the state of a run", kStateBytes});
  parts.push_back({"steps of row programs",
                   program.row_steps() * static_cast<std::int64_t>(sizeof(kernels::RowStep))});
  for (std::size_t i = 0; i < program.input_externals().size(); ++i) {
    const int external = program.input_externals()[i];
    if (external < 0) continue;
    const std::string& name = program.externals()[static_cast<std::size_t>(external)].name;
    parts.push_back({name.empty() ? "an input" : "input \"" + name + "\"", input_room(program, i)});
  }
  return parts;
}

std::vector<Part> parts_beside_arena(const Program& program, Device device) {
  const bool on_device = device != Device::cpu();
  const std::int64_t workers = on_device ? 1 : thread_count();
  const std::string of_workers =
      workers == 1 ? "" : ", " + std::to_string(workers) + " times, one a core";
  std::vector<Part> parts = on_device ? parts_on_device(program) : std::vector<Part>{};
  parts.push_back({scratch_in_words(program) + of_workers, workers * program.scratch_bytes()});
  if (!on_device) parts.push_back({"tiles of rows" + of_workers, workers * program.tile_bytes()});
  return parts;
}

// `dense (Dense layer "label") 4096 bytes, input "text" 2048 bytes`
std::string largest(std::vector<Part> parts) {
  std::erase_if(parts, [](const Part& part) { return part.bytes == 0; });
  std::ranges::stable_sort(parts, std::greater<>(), &Part::bytes);
  constexpr std::size_t kShown = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, parts.size()); ++i)
    text += (i > 0 ? ", " : "") + parts[i].what + " " + std::to_string(parts[i].bytes) + " bytes";
  return text;
}

}  // namespace

std::int64_t input_bytes(const Program& program, std::size_t input) {
  const auto external = static_cast<std::size_t>(program.input_externals()[input]);
  return program.externals()[external].bytes;
}

std::int64_t input_room(const Program& program, std::size_t input) {
  constexpr std::int64_t kAlignment = 256;
  return (input_bytes(program, input) + kAlignment - 1) / kAlignment * kAlignment;
}

OutOfMemory not_enough_for(const Program& program, Device device) {
  std::vector<Part> parts = parts_beside_arena(program, device);
  std::int64_t asked = program.arena_bytes();
  for (const Part& part : parts) asked += part.bytes;
  for (const Program::Placement& placed : program.placements()) {
    if (!placed.tile) parts.push_back({maker_in_words(program, placed.value), placed.bytes});
  }
  return OutOfMemory("a batch of " + std::to_string(program.batch()) + " rows asks for " +
                     std::to_string(asked) + " bytes on device \"" + to_string(device) +
                     "\", which could not be had; " +
                     std::to_string(access_to(device).free_bytes()) +
                     " bytes are free. The largest parts: " + largest(std::move(parts)));
}

}  // namespace braid
