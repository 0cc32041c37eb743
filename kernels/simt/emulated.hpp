#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "kernels/launch.hpp"
#include "kernels/simt/emulated_gpu.hpp"
#include "kernels/simt/emulated_stream.hpp"
#include "kernels/simt/machine.hpp"

// CUDA's built-ins for the host compiler. Plain __shared__, inline PTX, lockstep assumptions and
// whatever else no kernel may use do not compile here.
#define __global__ [[gnu::noinline]]
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define SIMT_BLOCKS_HELD(count) (count)
#define SIMT_UNROLL
#define SIMT_NO_UNROLL

// The declaration's own variable tells it apart from all others, in templates too. The first access
// of a thread makes the array.
#define SIMT_SHARED(Type, name, ...)                                       \
  static const ::braid::simt::SharedArray simt_##name##_declaration{       \
      #name, sizeof(Type __VA_ARGS__), ::std::source_location::current()}; \
  auto& name = *static_cast<::std::type_identity_t<Type __VA_ARGS__>*>(    \
      ::braid::simt::shared_array(simt_##name##_declaration))
#define SIMT_DYN_SHARED(Type, name) \
  Type* const name = static_cast<Type*>(::braid::simt::dynamic_shared_memory())

namespace braid::simt {

inline void __syncthreads(Place where = Place::current()) { block_barrier(where); }
inline int __syncthreads_count(int predicate, Place where = Place::current()) {
  return block_barrier_count(predicate != 0, where);
}
inline int __syncthreads_or(int predicate, Place where = Place::current()) {
  return block_barrier_count(predicate != 0, where) > 0 ? 1 : 0;
}
inline int __syncthreads_and(int predicate, Place where = Place::current()) {
  return block_barrier_count(predicate == 0, where) == 0 ? 1 : 0;
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFU, Place where = Place::current()) {
  static constexpr WarpCall call{WarpOperation::synchronize, 0, nullptr};
  LaneCall lane;
  warp_together(call, mask, lane, where);
}
inline void __threadfence() { note_fence(); }

// Lanes of a mask exchange values of 4 or 8 bytes.
enum class Exchange : unsigned { any, up, down, crosswise };

template <class T, Exchange exchange>
inline T exchange_lanes(unsigned mask, T value, int parameter, int width, Place where) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  static constexpr WarpCall call{
      WarpOperation::shuffle, static_cast<unsigned>(exchange) << 8U | sizeof(T),
      [](unsigned lanes_of_mask, LaneCall* const* lanes) {
        for (int lane = 0; lane < kWarpLanes; ++lane) {
          if (lanes[lane] == nullptr) continue;
          const LaneCall& own = *lanes[lane];
          const int start = lane & ~(own.width - 1);
          const int end = start + own.width - 1;
          int source = lane;
          if (exchange == Exchange::any) source = start + (own.parameter & (own.width - 1));
          if (exchange == Exchange::up) source = lane - own.parameter;
          if (exchange == Exchange::down) source = lane + own.parameter;
          if (exchange == Exchange::crosswise) source = lane ^ own.parameter;
          if (source > end || (exchange == Exchange::up && source < start)) source = lane;
          // The value of a lane that takes no part is undefined: NaN tells.
          if ((lanes_of_mask >> static_cast<unsigned>(source) & 1U) == 0) {
            std::memset(own.out, 0xFF, sizeof(T));
          } else {
            std::memcpy(own.out, lanes[source]->in, sizeof(T));
          }
        }
      }};
  if (width < 1 || width > kWarpLanes || (width & (width - 1)) != 0) {
    fail("a shuffle of width " + std::to_string(width), where);
  }
  T result;
  LaneCall lane{&value, &result, parameter, width};
  warp_together(call, mask, lane, where);
  return result;
}
template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = kWarpLanes,
                     Place where = Place::current()) {
  return exchange_lanes<T, Exchange::any>(mask, value, source, width, where);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = kWarpLanes,
                        Place where = Place::current()) {
  return exchange_lanes<T, Exchange::up>(mask, value, static_cast<int>(delta), width, where);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = kWarpLanes,
                          Place where = Place::current()) {
  return exchange_lanes<T, Exchange::down>(mask, value, static_cast<int>(delta), width, where);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int crosswise, int width = kWarpLanes,
                         Place where = Place::current()) {
  return exchange_lanes<T, Exchange::crosswise>(mask, value, crosswise, width, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, Place where = Place::current()) {
  static constexpr WarpCall call{WarpOperation::ballot, 0, [](unsigned, LaneCall* const* lanes) {
                                   unsigned votes = 0;
                                   for (int lane = 0; lane < kWarpLanes; ++lane) {
                                     if (lanes[lane] != nullptr && lanes[lane]->parameter != 0) {
                                       votes |= 1U << static_cast<unsigned>(lane);
                                     }
                                   }
                                   for (int lane = 0; lane < kWarpLanes; ++lane) {
                                     if (lanes[lane] == nullptr) continue;
                                     std::memcpy(lanes[lane]->out, &votes, sizeof votes);
                                   }
                                 }};
  unsigned votes = 0;
  LaneCall lane{nullptr, &votes, predicate != 0 ? 1 : 0};
  warp_together(call, mask, lane, where);
  return votes;
}
inline int __any_sync(unsigned mask, int predicate, Place where = Place::current()) {
  return __ballot_sync(mask, predicate, where) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate, Place where = Place::current()) {
  return __ballot_sync(mask, predicate, where) == mask ? 1 : 0;
}

// The lanes of the mask whose value is this lane's.
template <class T>
inline unsigned __match_any_sync(unsigned mask, T value, Place where = Place::current()) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  static constexpr WarpCall call{
      WarpOperation::match, sizeof(T), [](unsigned, LaneCall* const* lanes) {
        for (int lane = 0; lane < kWarpLanes; ++lane) {
          if (lanes[lane] == nullptr) continue;
          unsigned equal = 0;
          for (int other = 0; other < kWarpLanes; ++other) {
            if (lanes[other] != nullptr &&
                std::memcmp(lanes[other]->in, lanes[lane]->in, sizeof(T)) == 0) {
              equal |= 1U << static_cast<unsigned>(other);
            }
          }
          std::memcpy(lanes[lane]->out, &equal, sizeof equal);
        }
      }};
  unsigned equal = 0;
  LaneCall lane{&value, &equal};
  warp_together(call, mask, lane, where);
  return equal;
}

// Integers alone, as in the hardware of this generation.
enum class Reduction : unsigned { add, smallest, largest, all_bits, any_bit, odd_bits };
template <class T, Reduction reduction>
inline T reduce_lanes(unsigned mask, T value, Place where) {
  static_assert(std::same_as<T, int> || std::same_as<T, unsigned>);
  static constexpr WarpCall call{WarpOperation::reduce, static_cast<unsigned>(reduction),
                                 [](unsigned, LaneCall* const* lanes) {
                                   bool any = false;
                                   T total{};
                                   for (int lane = 0; lane < kWarpLanes; ++lane) {
                                     if (lanes[lane] == nullptr) continue;
                                     T next;
                                     std::memcpy(&next, lanes[lane]->in, sizeof next);
                                     const auto a = static_cast<unsigned>(total);
                                     const auto b = static_cast<unsigned>(next);
                                     if (!any) {
                                       total = next;
                                     } else {
                                       switch (reduction) {
                                         case Reduction::add: total = static_cast<T>(a + b); break;
                                         case Reduction::smallest:
                                           total = std::min(total, next);
                                           break;
                                         case Reduction::largest:
                                           total = std::max(total, next);
                                           break;
                                         case Reduction::all_bits:
                                           total = static_cast<T>(a & b);
                                           break;
                                         case Reduction::any_bit:
                                           total = static_cast<T>(a | b);
                                           break;
                                         case Reduction::odd_bits:
                                           total = static_cast<T>(a ^ b);
                                           break;
                                       }
                                     }
                                     any = true;
                                   }
                                   for (int lane = 0; lane < kWarpLanes; ++lane) {
                                     if (lanes[lane] != nullptr)
                                       std::memcpy(lanes[lane]->out, &total, sizeof total);
                                   }
                                 }};
  require_architecture(80, "a reduction of a warp", where);
  T result{};
  LaneCall lane{&value, &result};
  warp_together(call, mask, lane, where);
  return result;
}
template <class T>
inline T __reduce_add_sync(unsigned mask, T value, Place where = Place::current()) {
  return reduce_lanes<T, Reduction::add>(mask, value, where);
}
template <class T>
inline T __reduce_min_sync(unsigned mask, T value, Place where = Place::current()) {
  return reduce_lanes<T, Reduction::smallest>(mask, value, where);
}
template <class T>
inline T __reduce_max_sync(unsigned mask, T value, Place where = Place::current()) {
  return reduce_lanes<T, Reduction::largest>(mask, value, where);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value, Place where = Place::current()) {
  return reduce_lanes<unsigned, Reduction::all_bits>(mask, value, where);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value, Place where = Place::current()) {
  return reduce_lanes<unsigned, Reduction::any_bit>(mask, value, where);
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, Place where = Place::current()) {
  return reduce_lanes<unsigned, Reduction::odd_bits>(mask, value, where);
}

static inline std::int64_t shared_bytes_of_block() {
  return static_cast<std::int64_t>(emulated_gpu().shared_of_block);
}

// The most blocks that a cooperative launch can have.
template <auto kernel>
std::int64_t blocks_at_once(const LaunchShape& shape) {
  return blocks_held(shape);
}

// Launches: every CUDA thread gets the arguments by value.
template <auto kernel>
consteval std::string_view kernel_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text.remove_prefix(text.find("kernel = ") + 9);
  int depth = 0;
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    if (text[end] == '<' || text[end] == '(') ++depth;
    if (text[end] == '>' || text[end] == ')') --depth;
    if (depth == 0 && (text[end] == ';' || text[end] == ']')) break;
  }
  return text.substr(0, end);
}

// Notes, before the program starts, that it can launch a kernel.
bool note_launchable(std::string_view kernel);
template <auto kernel>
inline const bool kIsLaunchable = note_launchable(kernel_name<kernel>());

template <auto kernel, class... Arguments>
inline void launch_in_order(const LaunchShape& shape, bool cooperative,
                            const Arguments&... arguments) {
  const auto all = std::make_tuple(arguments...);
  const KernelCall call{
      kernel_name<kernel>(),
      [](const void* values) { std::apply(kernel, *static_cast<const decltype(all)*>(values)); },
      &all};
  run_kernel(call, shape, cooperative);
}
template <auto kernel, class... Arguments>
inline void launch_in_stream(const LaunchShape& shape, bool cooperative, void* stream,
                             const Arguments&... arguments) {
  static_cast<void>(&kIsLaunchable<kernel>);
  if (only_plans(stream)) return plan_launch(stream, kernel_name<kernel>(), shape, cooperative);
  in_stream(stream, [=] { launch_in_order<kernel>(shape, cooperative, arguments...); });
}
template <auto kernel, class... Arguments>
inline void launch_kernel(const LaunchShape& shape, const kernels::Stream& stream,
                          const Arguments&... arguments) {
  launch_in_stream<kernel>(shape, false, stream.native, arguments...);
}
template <auto kernel, class... Arguments>
inline void launch_cooperative(const LaunchShape& shape, const kernels::Stream& stream,
                               const Arguments&... arguments) {
  launch_in_stream<kernel>(shape, true, stream.native, arguments...);
}

}  // namespace braid::simt

#include "kernels/simt/emulated_memory.hpp"
