#pragma once
#include <cstddef>
#include <memory>
#include <vector>

// Execution contexts with stacks of their own. A CUDA thread that waits keeps its stack in one,
// while the others go on.
namespace braid::simt {

struct Fiber {
  std::byte* stack = nullptr;  // absent: the stack of the host thread
  void* context = nullptr;     // where it goes on: a stack pointer, or a ucontext_t
  // What the address sanitizer wants to know of a stack that is left and entered again.
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  std::size_t size = 0;
};

// Leaves `from` and goes on in `to`. With `for_good`, `from` is never entered again.
void switch_fiber(Fiber& from, Fiber& to, bool for_good = false);

// Called first in every new fiber.
void fiber_entered();

// Fibers at rest. Stacks are kept for the next kernel.
class FiberPool {
 public:
  // A fiber that starts in `entry`, which must not return.
  Fiber& take(void (*entry)());
  // Returns false if the kernel wrote beyond the end of the fiber's stack.
  [[nodiscard]] bool give_back(Fiber& fiber);

 private:
  void grow();

  std::vector<std::unique_ptr<Fiber>> all_;
  std::vector<Fiber*> idle_;
};

}  // namespace braid::simt
