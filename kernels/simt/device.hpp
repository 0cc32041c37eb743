#pragma once
#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/simt/cuda_launch.hpp"

// The device under nvcc: the macros of the emulator's names, and wrappers of one instruction each.
// This is the only place with inline PTX. Their twins in emulated_memory.hpp say what each must do;
// simt_contracts_test compares the two where a GPU answers.
#define SIMT_SHARED(Type, name, ...) __shared__ __align__(16) Type name __VA_ARGS__
#define SIMT_DYN_SHARED(Type, name)                                     \
  extern __shared__ __align__(128) unsigned char simt_dynamic_shared[]; \
  Type* const name = reinterpret_cast<Type*>(simt_dynamic_shared)

// In front of a loop whose copies stand one behind the other, so that arrays of known size become
// registers.
#define SIMT_UNROLL _Pragma("unroll")
// And in front of one that is seldom taken twice, and is to keep few registers.
#define SIMT_NO_UNROLL _Pragma("unroll 1")

// How many blocks a multiprocessor is to hold at once. For the newest architecture the compiler
// wants more registers than `count` blocks leave it, and would spill them.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1200
#define SIMT_BLOCKS_HELD(count) ((count)-1)
#else
#define SIMT_BLOCKS_HELD(count) (count)
#endif

// Instructions that a processor lacks end the kernel: the planner must not choose it there.
#if defined(__CUDA_ARCH__)
#define SIMT_HAS(version) (__CUDA_ARCH__ >= (version))
#else
#define SIMT_HAS(version) 1
#endif

namespace braid::simt {

template <class V, class T>
__device__ __forceinline__ V ld_vec(const T* address) {
  static_assert(sizeof(V) == 8 || sizeof(V) == 16 || sizeof(V) == 4);
  return *reinterpret_cast<const V*>(address);
}
template <class V, class T>
__device__ __forceinline__ void st_vec(T* address, const V& value) {
  static_assert(sizeof(V) == 8 || sizeof(V) == 16 || sizeof(V) == 4);
  *reinterpret_cast<V*>(address) = value;
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define SIMT_REDUCTION(name)                             \
  template <class T>                                     \
  __device__ __forceinline__ T name(unsigned, T value) { \
    __trap();                                            \
    return value;                                        \
  }
SIMT_REDUCTION(__reduce_add_sync)
SIMT_REDUCTION(__reduce_min_sync)
SIMT_REDUCTION(__reduce_max_sync)
SIMT_REDUCTION(__reduce_and_sync)
SIMT_REDUCTION(__reduce_or_sync)
SIMT_REDUCTION(__reduce_xor_sync)
#undef SIMT_REDUCTION
#endif

// Nearly 1 / x, of numbers that neither they nor their reciprocals are very small.
__device__ __forceinline__ float approximate_reciprocal(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// Nearly 2^x; infinity, or 0, where no float is as large, or as small.
__device__ __forceinline__ float approximate_power_of_two(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

__device__ __forceinline__ unsigned shared_address(const void* address) {
  return static_cast<unsigned>(__cvta_generic_to_shared(address));
}

__device__ __forceinline__ void named_barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void named_barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void grid_sync() { cooperative_groups::this_grid().sync(); }
__device__ __forceinline__ void spin_pause() { __nanosleep(20); }

template <class V>
__device__ __forceinline__ V load_relaxed(const unsigned* address) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 16);
  V value;
  if constexpr (sizeof(V) == 4) {
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];"
                 : "=r"(value)
                 : "l"(__cvta_generic_to_global(address))
                 : "memory");
  } else {
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
                 : "l"(__cvta_generic_to_global(address))
                 : "memory");
  }
  return value;
}
__device__ __forceinline__ void store_relaxed(unsigned* address, unsigned value) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(address)),
               "r"(value)
               : "memory");
}

template <int Bytes>
__device__ __forceinline__ void cp_async_zero_fill(void* to, const void* from, int from_bytes) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
#if SIMT_HAS(800)
  if constexpr (Bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(from_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)),
                 "l"(from), "n"(Bytes), "r"(from_bytes)
                 : "memory");
  }
#else
  // Early, which is never wrong: the destination is free from the moment of the call.
  auto* const target = static_cast<unsigned*>(to);
  const auto* const source = static_cast<const unsigned*>(from);
#pragma unroll
  for (int i = 0; i < Bytes / 4; ++i) target[i] = 4 * i < from_bytes ? source[i] : 0U;
#endif
}
template <int Bytes>
__device__ __forceinline__ void cp_async(void* to, const void* from) {
#if SIMT_HAS(800)
  if constexpr (Bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared_address(to)), "l"(from),
                 "n"(Bytes)
                 : "memory");
  }
#else
  cp_async_zero_fill<Bytes>(to, from, Bytes);
#endif
}
__device__ __forceinline__ void cp_async_commit() {
#if SIMT_HAS(800)
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int Groups>
__device__ __forceinline__ void cp_async_wait() {
#if SIMT_HAS(800)
  asm volatile("cp.async.wait_group %0;" ::"n"(Groups) : "memory");
#endif
}

__device__ __forceinline__ void mbarrier_init(std::uint64_t* barrier, int arrivals) {
#if SIMT_HAS(900)
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
#else
  __trap();
#endif
}
__device__ __forceinline__ void fence_mbarrier_init() {
#if SIMT_HAS(900)
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
__device__ __forceinline__ void mbarrier_arrive(std::uint64_t* barrier) {
#if SIMT_HAS(900)
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
#endif
}
__device__ __forceinline__ void mbarrier_arrive_expect(std::uint64_t* barrier, int bytes) {
#if SIMT_HAS(900)
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
#endif
}
__device__ __forceinline__ void mbarrier_wait(std::uint64_t* barrier, unsigned parity) {
#if SIMT_HAS(900)
  unsigned done = 0;
  while (done == 0) {
    asm volatile(
        "{\n"
        ".reg .pred complete;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 complete, [%1], %2;\n"
        "selp.u32 %0, 1, 0, complete;\n"
        "}"
        : "=r"(done)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  }
#endif
}
__device__ __forceinline__ void bulk_copy(void* to, const void* from, int bytes,
                                          std::uint64_t* barrier) {
#if SIMT_HAS(900)
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
#endif
}

template <int Matrices, bool transposed = false>
__device__ __forceinline__ void ldmatrix(unsigned (&registers)[Matrices], const void* row) {
  static_assert(Matrices == 1 || Matrices == 2 || Matrices == 4);
  const unsigned address = shared_address(row);
  if constexpr (Matrices == 1 && !transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(registers[0])
                 : "r"(address)
                 : "memory");
  } else if constexpr (Matrices == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(registers[0])
                 : "r"(address)
                 : "memory");
  } else if constexpr (Matrices == 2 && !transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(registers[0]), "=r"(registers[1])
                 : "r"(address)
                 : "memory");
  } else if constexpr (Matrices == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(registers[0]), "=r"(registers[1])
                 : "r"(address)
                 : "memory");
  } else if constexpr (!transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(address)
                 : "memory");
  }
}

__device__ __forceinline__ unsigned to_tf32(float x) {
#if SIMT_HAS(800)
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#else
  return 0;
#endif
}
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&sums)[4], const unsigned (&a)[4],
                                                 const unsigned (&b)[2]) {
#if SIMT_HAS(800)
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();
#endif
}
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&sums)[4], const unsigned (&a)[4],
                                                  const unsigned (&b)[2]) {
#if SIMT_HAS(800)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();
#endif
}

}  // namespace braid::simt

#undef SIMT_HAS
