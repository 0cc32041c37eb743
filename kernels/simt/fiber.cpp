#include "kernels/simt/fiber.hpp"

#include <sys/mman.h>

#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace braid::simt {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kStackBytes = 256 * 1024;
#else
constexpr std::size_t kStackBytes = 64 * 1024;
#endif
// Stacks are mapped many at a time: the kernel limits the number of mappings, and a cooperative
// launch has tens of thousands of threads.
constexpr std::size_t kStacksOfOneMapping = 64;
constexpr std::size_t kCanaryBytes = 64;
constexpr int kCanary = 0xC5;

}  // namespace

#if defined(__x86_64__)

// Pushes the registers that a called function must keep, changes stacks, and pops those of the
// other side.
asm(R"(
  .text
  .p2align 4
  .type braid_simt_switch, @function
braid_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size braid_simt_switch, .-braid_simt_switch
)");
extern "C" void braid_simt_switch(void** from, void* to) __asm__("braid_simt_switch");

namespace {

void prepare(Fiber& fiber, void (*entry)()) {
  // As if `entry` had been called: the stack pointer is 8 beyond a multiple of 16 when it starts.
  auto** top = reinterpret_cast<void**>(fiber.stack + kStackBytes);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  fiber.context = static_cast<void*>(top);
}

void jump(Fiber& from, Fiber& to) { braid_simt_switch(&from.context, to.context); }

}  // namespace

#else

namespace {

ucontext_t* context_of(Fiber& fiber) {
  if (fiber.context == nullptr) fiber.context = new ucontext_t;
  return static_cast<ucontext_t*>(fiber.context);
}

void prepare(Fiber& fiber, void (*entry)()) {
  ucontext_t* context = context_of(fiber);
  getcontext(context);
  context->uc_stack.ss_sp = fiber.stack;
  context->uc_stack.ss_size = kStackBytes;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
}

void jump(Fiber& from, Fiber& to) { swapcontext(context_of(from), context_of(to)); }

}  // namespace

#endif

#if defined(__SANITIZE_ADDRESS__)

namespace {
Fiber* left = nullptr;  // the fiber that the last switch came from
}

void fiber_entered() {
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  if (left->stack == nullptr) {
    left->bottom = bottom;
    left->size = size;
  }
}

void switch_fiber(Fiber& from, Fiber& to, bool for_good) {
  left = &from;
  __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack, to.bottom, to.size);
  jump(from, to);
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
}

#else

void fiber_entered() {}
void switch_fiber(Fiber& from, Fiber& to, bool) { jump(from, to); }

#endif

void FiberPool::grow() {
  void* mapping = mmap(nullptr, kStackBytes * kStacksOfOneMapping, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  for (std::size_t i = 0; i < kStacksOfOneMapping; ++i) {
    all_.push_back(std::make_unique<Fiber>());
    Fiber& fiber = *all_.back();
    fiber.stack = static_cast<std::byte*>(mapping) + i * kStackBytes;
    fiber.bottom = fiber.stack;
    fiber.size = kStackBytes;
    std::memset(fiber.stack, kCanary, kCanaryBytes);
    idle_.push_back(&fiber);
  }
}

Fiber& FiberPool::take(void (*entry)()) {
  if (idle_.empty()) grow();
  Fiber& fiber = *idle_.back();
  idle_.pop_back();
#if defined(__SANITIZE_ADDRESS__)
  // What a kernel that was given up left poisoned.
  __asan_unpoison_memory_region(fiber.stack, kStackBytes);
  fiber.fake_stack = nullptr;
#endif
  prepare(fiber, entry);
  return fiber;
}

bool FiberPool::give_back(Fiber& fiber) {
  idle_.push_back(&fiber);
  bool intact = true;
  for (std::size_t i = 0; i < kCanaryBytes; ++i) {
    intact = intact && fiber.stack[i] == static_cast<std::byte>(kCanary);
  }
  if (!intact) std::memset(fiber.stack, kCanary, kCanaryBytes);
  return intact;
}

}  // namespace braid::simt
