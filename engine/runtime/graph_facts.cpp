#include "engine/runtime/graph_facts.hpp"

#include "kernels/row_program.hpp"

namespace braid {

std::vector<ValueInfo> GraphFacts::infos_of(const std::vector<Value>& values) const {
  std::vector<ValueInfo> found;
  for (Value value : values) found.push_back(value ? infos[index(value)] : kAbsent);
  return found;
}

std::int64_t GraphFacts::row_bytes(std::size_t value) const {
  const Extent extent = extent_of(infos[value]);
  return extent.rows * extent.columns * static_cast<std::int64_t>(size_of(infos[value].dtype));
}

bool GraphFacts::is_made_in_block(std::size_t value) const {
  const int made_by = uses.producer[value];
  return made_by >= 0 && joinable[static_cast<std::size_t>(made_by)] &&
         extent_of(infos[value]).rows == 1 && rows_of_block <= kernels::kRowsInShared;
}

bool GraphFacts::is_summed_by_slices(std::size_t value) const {
  const int made_by = uses.producer[value];
  if (made_by < 0 || infos[value].batched) return false;
  const auto n = static_cast<std::size_t>(made_by);
  return stage_of_node[n] % 2 == 0 && (!on_device || joinable[n]);
}

}  // namespace braid
