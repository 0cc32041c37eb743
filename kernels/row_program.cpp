#include "kernels/row_program.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

namespace braid::kernels {
namespace {

constexpr std::int64_t kLanes = 32;

// How many threads of a block have work to do, at most, where the kernels' x_rows.hpp give each
// thread an element, or each warp a row; all of them of every other kernel.
template <class T>
std::int64_t elements_of(const Matrix<T>& matrix) {
  return matrix.rows * matrix.columns;
}
std::int64_t threads_of(const Affine& args) { return elements_of(args.in); }
std::int64_t threads_of(const Sum& args) { return elements_of(args.out); }
std::int64_t threads_of(const ScaleRows& args) { return elements_of(args.in); }
std::int64_t threads_of(const Fill& args) { return elements_of(args.out); }
std::int64_t threads_of(const ActivationForward& args) { return elements_of(args.in); }
std::int64_t threads_of(const ActivationBackward& args) { return elements_of(args.in_grad); }
std::int64_t threads_of(const AccuracyValues& args) { return args.predicted.rows; }
std::int64_t threads_of(const MaskToWeight& args) { return elements_of(args.mask); }
std::int64_t threads_of_loss(const LossRule& rule, const Matrix<const float>& predicted) {
  if (is_categorical(rule.kind)) return predicted.rows * lanes_of_classes(predicted.columns);
  return predicted.rows * (predicted.columns == 1 ? 1 : kLanes);
}
std::int64_t threads_of(const LossForward& args) {
  return threads_of_loss(args.rule, args.predicted);
}
std::int64_t threads_of(const LossBackward& args) {
  return threads_of_loss(args.rule, args.predicted);
}
std::int64_t threads_of(const WeightedSum& args) {
  return args.value.rows <= kWeightedByWarp ? kLanes : kLanes * kWarpsOfRows;
}
std::int64_t threads_of(const SumSlices& args) {
  return args.count * (args.count <= kWarpsOfRows ? kLanes : 1);
}
std::int64_t threads_of(const DenseForward& args) {
  return kLanes * (args.out.columns == 1 ? args.out.rows : kWarpsOfRows);
}
template <class Arguments>
std::int64_t threads_of(const Arguments& /*args*/) {
  return kLanes * kWarpsOfRows;
}
template <class Arguments>
std::uint8_t warps_of(const Arguments& args) {
  const std::int64_t warps = (threads_of(args) + kLanes - 1) / kLanes;
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(warps, 1, kWarpsOfRows));
}

template <class Arguments>
bool take(const std::type_info& type, const void* arguments, std::int32_t kernel, RowStep& step) {
  if (type != typeid(Arguments)) return false;
  step.kernel = kernel;
  step.warps = warps_of(*static_cast<const Arguments*>(arguments));
  std::memcpy(step.arguments, arguments, sizeof(Arguments));
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

void RowSteps::end_list() {
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
    int busy = 0;  // warps, with the wave's steps so far
    for (std::size_t i = begin; i < end; ++i) {
      RowStep& step = first[static_cast<std::ptrdiff_t>(i)];
      step = added[order[i]];
      step.waits = i == begin;
      step.first = static_cast<std::uint16_t>(kLanes * (busy % kWarpsOfRows));
      busy += step.warps;
    }
    begin = end;
  }
  places_.clear();
}

void RowSteps::find_shared(const RowSteps& moved) {
  if (moved.steps_.size() != steps_.size())
    throw std::logic_error("a row program taken down twice differs in its steps");
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  const auto begin = reinterpret_cast<std::uint64_t>(place_in_shared(0, false));
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    for (std::size_t word = 0; word < RowStep::kMostBytes / kWord; ++word) {
      std::uint64_t value = 0;
      std::uint64_t elsewhere = 0;
      std::memcpy(&value, steps_[i].arguments + word * kWord, kWord);
      std::memcpy(&elsewhere, moved.steps_[i].arguments + word * kWord, kWord);
      // What lies between arguments is anything, old addresses too; but a word that begins with an
      // argument has the same lowest byte twice.
      if (elsewhere - value != static_cast<std::uint64_t>(kSharedMoves)) continue;
      value -= begin;
      std::memcpy(steps_[i].arguments + word * kWord, &value, kWord);
      steps_[i].in_shared |= std::uint64_t{1} << word;
    }
  }
}

}  // namespace braid::kernels
