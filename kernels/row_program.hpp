#pragma once
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "kernels/activation.hpp"
#include "kernels/dense.hpp"
#include "kernels/dropout.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/gather.hpp"
#include "kernels/host_device.hpp"
#include "kernels/launch.hpp"
#include "kernels/loss.hpp"
#include "kernels/mask.hpp"
#include "kernels/metric.hpp"
#include "kernels/optimizer.hpp"
#include "kernels/softmax.hpp"
#include "kernels/step.hpp"

namespace braid::kernels {

// Kernels that can be steps of a row program: their results' rows depend on the same rows of their
// operands, or are sums over the rows.
using RowKernels =
    std::tuple<DenseForward, DenseInputGradient, DenseWeightGradient, ActivationForward,
               ActivationBackward, SoftmaxForward, SoftmaxBackward, LossForward, LossBackward,
               AccuracyValues, WeightedSum, Affine, Sum, ScaleRows, Fill, CopyRows, ToFloat,
               FloatToIds, SumAll, PenaltyGradient, Quotient, Dropout, MaskToWeight, SumSlices,
               GatherBatch, EndStep>;

template <class Arguments, class Kernels = RowKernels>
constexpr bool kIsRowKernel = false;
template <class Arguments, class... Kernels>
constexpr bool kIsRowKernel<Arguments, std::tuple<Kernels...>> =
    (std::is_same_v<Arguments, Kernels> || ...);

// Warps of a block that runs a row program.
constexpr int kWarpsOfRows = 8;

// The arguments of one of them.
struct RowStep {
  static constexpr std::size_t kMostBytes = 320;
  // A bit for each word of eight bytes of the arguments: it counts bytes from the beginning of the
  // block's shared memory.
  std::uint64_t in_shared = 0;
  std::int32_t kernel = 0;  // its place among the RowKernels
  // The thread that gets the first piece of its work: steps of one wave have little, and do it side
  // by side.
  std::uint16_t first = 0;
  bool waits = true;  // for all steps before it; else none of the same wave does
  // From that thread's on, those that have work to do. The others pass by.
  std::uint8_t warps = kWarpsOfRows;
  alignas(16) std::byte arguments[kMostBytes];

  template <class Arguments>
  BRAID_HOST_DEVICE const Arguments& as() const {
    static_assert(sizeof(Arguments) <= kMostBytes);
    static_assert(alignof(Arguments) <= 16);
    return *reinterpret_cast<const Arguments*>(arguments);
  }
};

// Values of a block's rows that only its own steps touch may lie in its shared memory, which is far
// nearer. Where that is no address of the host tells: operands there are taken down twice, at
// places that differ by so many bytes, and whatever words differ by as much are addresses
// (RowSteps::find_shared). Products that take tiles (kernels/dense_rows.hpp) cannot read from
// there: more than kRowsInShared rows of a matrix.
constexpr std::int64_t kRowsInShared = 8;
constexpr std::int64_t kSharedMoves = 16;
inline std::byte* place_in_shared(std::int64_t offset, bool moved) {
  constexpr std::int64_t kBegin = std::int64_t{1} << 40U;
  return std::bit_cast<std::byte*>(kBegin + offset + (moved ? kSharedMoves : 0));
}
// What a row program takes of a block's shared memory for itself.
constexpr std::int64_t kSharedOfRowProgram = 60 * 1024;

// Many kernels in one launch: each block takes rows of its own through a list of steps, wave after
// wave, and waits for no other block. A step that waits begins a wave; it and those behind it that
// do not wait may read what earlier waves of their block have written, and nothing that each other
// or other blocks write. The block that ends last goes on with the closing steps, which may read
// everything.
struct RowProgram {
  const RowStep* steps = nullptr;  // [blocks, steps_of_block], then the closing ones  read
  std::int64_t blocks = 0;
  std::int64_t steps_of_block = 0;
  std::int64_t closing_steps = 0;
  std::int64_t shared_bytes = 0;  // of values in shared memory
  // Blocks that have ended: 0 before the launch and after it. Absent without closing steps.
  unsigned* ended = nullptr;
};
BRAID_KERNEL(RowProgram)

// Takes down what would be launched, as steps.
class RowSteps final : public LaunchCollector {
 public:
  void add(const std::type_info& type, const void* arguments) override;
  // What is added from here on depends on nothing of this wave or of later ones, but each on what
  // has been added since this call.
  void begin_wave(int wave) { next_ = {wave, 0}; }
  // Puts what was added since the list before into the order of its waves.
  void end_list();
  // Finds the operands in shared memory: `moved` are the same steps, taken down with them elsewhere
  // (place_in_shared).
  void find_shared(const RowSteps& moved);
  const std::vector<RowStep>& steps() const { return steps_; }

 private:
  struct Place {
    int wave = 0;
    int turn = 0;  // within the wave
    auto operator<=>(const Place&) const = default;
  };

  std::vector<RowStep> steps_;
  std::vector<Place> places_;  // of the list that has not ended
  Place next_;
};

// Calls body(arguments) with the step's arguments in their type.
template <class Body>
BRAID_HOST_DEVICE inline void with_arguments(const RowStep& step, const Body& body) {
  [&]<std::size_t... kPlace>(std::index_sequence<kPlace...>) {
    static_cast<void>(((step.kernel == static_cast<std::int32_t>(kPlace) &&
                        (body(step.as<std::tuple_element_t<kPlace, RowKernels>>()), true)) ||
                       ...));
  }
  (std::make_index_sequence<std::tuple_size_v<RowKernels>>{});
}

}  // namespace braid::kernels
