#pragma once
#include <array>
#include <bit>
#include <concepts>
#include <cstring>

#include "kernels/simt/machine.hpp"
#include "kernels/simt/matrix.hpp"
#include "kernels/simt/races.hpp"

// Memory and arithmetic of the emulated device: atomics, copies, words for others, matrix operands.
namespace braid::simt {

inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float approximate_reciprocal(float x) { return 1.0F / x; }
inline float approximate_power_of_two(float x) { return std::exp2(x); }
inline float rsqrtf(float x) { return 1.0F / std::sqrt(x); }
template <class T>
requires std::is_arithmetic_v<T>
inline T min(T a, T b) { return b < a ? b : a; }
template <class T>
requires std::is_arithmetic_v<T>
inline T max(T a, T b) { return a < b ? b : a; }
template <class T>
inline T __ldg(const T* address) {
  return *address;
}

// 8 and 16 bytes at once.
template <class V, class T>
inline V ld_vec(const T* address, Place where = Place::current()) {
  static_assert(sizeof(V) == 8 || sizeof(V) == 16 || sizeof(V) == 4);
  require_aligned(address, sizeof(V), "ld_vec", where);
  V value;
  std::memcpy(&value, static_cast<const void*>(address), sizeof(V));
  return value;
}
template <class V, class T>
inline void st_vec(T* address, const V& value, Place where = Place::current()) {
  static_assert(sizeof(V) == 8 || sizeof(V) == 16 || sizeof(V) == 4);
  require_aligned(address, sizeof(V), "st_vec", where);
  std::memcpy(static_cast<void*>(address), &value, sizeof(V));
}

// Integers alone: sums of floats have a fixed order, so they use no atomics.
template <class T>
concept Atomic =
    std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long>;
template <Atomic T, class Change>
SIMT_UNSEEN inline T change(T* address, const Change& changed, const char* what,
                            const Place& where) {
  require_aligned(address, sizeof(T), what, where);
  note_atomic(address, sizeof(T));
  const T before = *address;
  *address = changed(before);
  return before;
}
template <Atomic T>
inline T atomicAdd(T* address, std::type_identity_t<T> value, Place where = Place::current()) {
  using Bits = std::make_unsigned_t<T>;
  return change(
      address,
      [&](T old) { return static_cast<T>(static_cast<Bits>(old) + static_cast<Bits>(value)); },
      "atomicAdd", where);
}
template <Atomic T>
inline T atomicMax(T* address, std::type_identity_t<T> value, Place where = Place::current()) {
  return change(
      address, [&](T old) { return old < value ? value : old; }, "atomicMax", where);
}
template <Atomic T>
inline T atomicMin(T* address, std::type_identity_t<T> value, Place where = Place::current()) {
  return change(
      address, [&](T old) { return value < old ? value : old; }, "atomicMin", where);
}
template <Atomic T>
inline T atomicOr(T* address, std::type_identity_t<T> value, Place where = Place::current()) {
  return change(
      address, [&](T old) { return old | value; }, "atomicOr", where);
}
template <Atomic T>
inline T atomicAnd(T* address, std::type_identity_t<T> value, Place where = Place::current()) {
  return change(
      address, [&](T old) { return old & value; }, "atomicAnd", where);
}
template <Atomic T>
inline T atomicExch(T* address, std::type_identity_t<T> value, Place where = Place::current()) {
  return change(
      address, [&](T) { return value; }, "atomicExch", where);
}
template <Atomic T>
inline T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value,
                   Place where = Place::current()) {
  return change(
      address, [&](T old) { return old == expected ? value : old; }, "atomicCAS", where);
}

inline void named_barrier_sync(int id, int threads, Place where = Place::current()) {
  named_barrier(id, threads, true, where);
}
inline void named_barrier_arrive(int id, int threads, Place where = Place::current()) {
  named_barrier(id, threads, false, where);
}
inline void grid_sync(Place where = Place::current()) { grid_barrier(where); }
inline void spin_pause(Place where = Place::current()) { spin(where); }

// Words that other threads may write at the time, each whole, in no order among each other.
template <class V>
SIMT_UNSEEN inline V load_relaxed(const unsigned* address, Place where = Place::current()) {
  static_assert(std::same_as<V, unsigned> || std::same_as<V, uint4>);
  require_aligned(address, sizeof(V), "load_relaxed", where);
  note_relaxed_load(address, sizeof(V));
  std::array<unsigned, sizeof(V) / sizeof(unsigned)> words;
  for (unsigned& word : words) word = races::find_word(address++);
  return std::bit_cast<V>(words);
}
SIMT_UNSEEN inline void store_relaxed(unsigned* address, unsigned value) {
  note_relaxed_store(address, sizeof value);
  races::leave_word(address, value);
}

template <int Bytes>
inline void cp_async(void* to, const void* from, Place where = Place::current()) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  issue_copy(to, from, Bytes, Bytes, where);
}
// Copies the first `from_bytes` (0 too), and sets the rest to 0.
template <int Bytes>
inline void cp_async_zero_fill(void* to, const void* from, int from_bytes,
                               Place where = Place::current()) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  issue_copy(to, from, Bytes, static_cast<std::size_t>(from_bytes), where);
}
inline void cp_async_commit() { commit_copies(); }
// Waits until at most `Groups` of this thread's committed groups are in flight.
template <int Groups>
inline void cp_async_wait() {
  wait_for_copies(Groups);
}

inline void mbarrier_init(std::uint64_t* barrier, int arrivals, Place where = Place::current()) {
  make_mbarrier(barrier, arrivals, where);
}
inline void fence_mbarrier_init() { fence_mbarriers(); }
inline void mbarrier_arrive(std::uint64_t* barrier, Place where = Place::current()) {
  arrive_at_mbarrier(barrier, 0, where);
}
inline void mbarrier_arrive_expect(std::uint64_t* barrier, int bytes,
                                   Place where = Place::current()) {
  arrive_at_mbarrier(barrier, bytes, where);
}
inline void mbarrier_wait(std::uint64_t* barrier, unsigned parity, Place where = Place::current()) {
  wait_at_mbarrier(barrier, parity, where);
}
inline void bulk_copy(void* to, const void* from, int bytes, std::uint64_t* barrier,
                      Place where = Place::current()) {
  issue_bulk_copy(to, from, static_cast<std::size_t>(bytes), barrier, where);
}

template <int Matrices, bool transposed = false>
inline void ldmatrix(unsigned (&registers)[Matrices], const void* row,
                     Place where = Place::current()) {
  static_assert(Matrices == 1 || Matrices == 2 || Matrices == 4);
  load_matrices(registers, Matrices, transposed, row, where);
}

// To the nearest 10-bit fraction, ties away from zero.
inline unsigned to_tf32(float x) {
  const auto bits = std::bit_cast<unsigned>(x);
  if ((bits & 0x7F800000U) == 0x7F800000U) return bits;
  return (bits + 0x1000U) & 0xFFFFE000U;
}
inline void mma_m16n8k8_tf32(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                             Place where = Place::current()) {
  multiply_matrices(sums, a, b, MatrixElement::tf32, where);
}
inline void mma_m16n8k16_bf16(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2],
                              Place where = Place::current()) {
  multiply_matrices(sums, a, b, MatrixElement::bfloat16, where);
}

}  // namespace braid::simt
