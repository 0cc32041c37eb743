#pragma once
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "kernels/launch.hpp"

// Operands of a launch, on the host and on the device that runs it.
namespace braid::testing {

void note_memory(const void* memory, std::size_t bytes);
void forget_memory(const void* memory);

// Memory of the host whose copies a device can work on.
template <class T>
struct NotedAllocator {
  using value_type = T;
  NotedAllocator() = default;
  template <class Other>
  NotedAllocator(const NotedAllocator<Other>&) {}
  T* allocate(std::size_t count) {
    T* const memory = std::allocator<T>().allocate(count);
    note_memory(memory, count * sizeof(T));
    return memory;
  }
  void deallocate(T* memory, std::size_t count) {
    forget_memory(memory);
    std::allocator<T>().deallocate(memory, count);
  }
  template <class Other>
  bool operator==(const NotedAllocator<Other>&) const {
    return true;
  }
};

// Operands, which every backend must be able to reach.
template <class T>
using KernelMemory = std::vector<T, NotedAllocator<T>>;

constexpr std::size_t kWordBytes = sizeof(void*);

// How many bytes of each word of arguments are padding, where anything may lie, stale addresses
// too. Empty where the compiler does not tell. GCC 12 tells of padding behind an array of structs
// as if it were in the first word of that array: a number there may belong to another word.
template <class Arguments>
std::vector<std::size_t> padding_of_words() {
  std::vector<std::size_t> padding;
#if defined(__GNUC__) && !defined(__clang__)
  alignas(Arguments) unsigned char bytes[sizeof(Arguments)];
  std::memset(bytes, 0xFF, sizeof(bytes));
  __builtin_clear_padding(reinterpret_cast<Arguments*>(bytes));
  for (std::size_t at = 0; at + kWordBytes <= sizeof(bytes); at += kWordBytes) {
    std::size_t cleared = 0;
    for (std::size_t i = 0; i < kWordBytes; ++i) cleared += bytes[at + i] == 0 ? 1 : 0;
    // It also clears the first element of an array of structs: whole words.
    padding.push_back(cleared < kWordBytes ? cleared : 0);
  }
#endif
  return padding;
}

// Copies on a device of all memory that the arguments of one launch point into. Each ends where its
// allocation ends, so that tools of the device see what goes beyond.
class DeviceOperands {
 public:
  explicit DeviceOperands(kernels::Backend backend);
  ~DeviceOperands();
  DeviceOperands(const DeviceOperands&) = delete;
  DeviceOperands& operator=(const DeviceOperands&) = delete;

  kernels::Stream stream() const;
  // The arguments with addresses on the device. Throws std::logic_error for an address of memory
  // that is no KernelMemory.
  template <class Arguments>
  Arguments moved(Arguments arguments) {
    static_assert(std::is_trivially_copyable_v<Arguments>);
    static const std::vector<std::size_t> padding = padding_of_words<Arguments>();
    move(reinterpret_cast<std::byte*>(&arguments), sizeof(Arguments), padding);
    return arguments;
  }
  // Waits for the launch, and copies all memory to where it came from.
  void bring_back();

 private:
  struct Copy {
    std::byte* here;
    std::size_t bytes;
    std::byte* allocation;  // on the device
    std::size_t allocated;
    std::byte* there;
  };

  void move(std::byte* arguments, std::size_t bytes, const std::vector<std::size_t>& padding);
  const Copy& copy_of(std::byte* here, std::size_t bytes);

  kernels::Backend backend_;
  std::vector<Copy> copies_;
};

}  // namespace braid::testing
