#include "kernels/row_program.hpp"

#include <algorithm>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace braid::kernels {
namespace {

constexpr std::int64_t kWarpsOfBlock = 8;  // row_program_cuda.cu

// Gaps between members hold what was in memory before, which may look like a marked address.
template <class Arguments>
void clear_padding([[maybe_unused]] Arguments& arguments) {
  static_assert(std::is_trivially_copyable_v<Arguments>);
#if BRAID_CLEARS_PADDING
  __builtin_clear_padding(&arguments);
#endif
}

template <class Arguments>
bool take(const std::type_info& type, const void* arguments, std::int32_t kernel, RowStep& step) {
  if (type != typeid(Arguments)) return false;
  step.kernel = kernel;
  auto* const taken = new (step.arguments) Arguments(*static_cast<const Arguments*>(arguments));
  clear_padding(*taken);
  return true;
}

}  // namespace

void RowSteps::add(const std::type_info& type, const void* arguments) {
  RowStep step{};
  const bool taken = [&]<std::size_t... kPlace>(std::index_sequence<kPlace...>) {
    return (take<std::tuple_element_t<kPlace, RowKernels>>(
                type, arguments, static_cast<std::int32_t>(kPlace), step) ||
            ...);
  }
  (std::make_index_sequence<std::tuple_size_v<RowKernels>>{});
  if (!taken) throw std::logic_error(std::string("no step of a row program: ") + type.name());
  steps_.push_back(step);
  places_.push_back(next_);
  ++next_.turn;
}

void RowSteps::end_list() { end_list(kWarpsOfBlock, 32); }
void RowSteps::end_updates(std::int64_t blocks) {
  std::ranges::fill(places_, Place{});  // none reads what others write
  end_list(blocks, 1);
}

void RowSteps::end_list(std::int64_t sharers, std::int64_t each) {
  const auto first = steps_.end() - static_cast<std::ptrdiff_t>(places_.size());
  std::vector<std::size_t> order(places_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return places_[i]; });
  const std::vector<RowStep> added(first, steps_.end());
  for (std::size_t begin = 0; begin < order.size();) {
    const auto is_later = [&](std::size_t i) { return places_[i] != places_[order[begin]]; };
    const auto end = static_cast<std::size_t>(
        std::find_if(order.begin() + static_cast<std::ptrdiff_t>(begin), order.end(), is_later) -
        order.begin());
    for (std::size_t i = begin; i < end; ++i) {
      RowStep& step = first[static_cast<std::ptrdiff_t>(i)];
      step = added[order[i]];
      step.waits = i == begin;
      // How many sharers a step keeps busy is not known here.
      const auto place = static_cast<std::int64_t>(i - begin);
      const auto steps = static_cast<std::int64_t>(end - begin);
      step.first = static_cast<std::uint32_t>(place * sharers / steps * each);
    }
    begin = end;
  }
  places_.clear();
}

}  // namespace braid::kernels
