#include "kernels/simt/shared_memory.hpp"

#include <cstdint>
#include <cstring>

#include "kernels/simt/emulated_gpu.hpp"
#include "kernels/simt/races.hpp"
#include "kernels/simt/shared_limits.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace braid::simt {
namespace {

constexpr std::size_t kRedZone = 256;
constexpr std::size_t kArena = 256 * 1024 + 128 * kRedZone;  // for more than any GPU has
// What facade.hpp promises under nvcc, and no more: an address that happened to be aligned better
// would hide mistakes.
constexpr std::size_t kStaticAlignment = 16;
constexpr std::size_t kDynamicAlignment = 128;

void set_red_zone([[maybe_unused]] std::byte* start, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(start, bytes);
#endif
}

}  // namespace

void SharedMemory::start(std::size_t dynamic_bytes) {
  if (!arena_) arena_ = std::make_unique_for_overwrite<std::byte[]>(kArena);
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(arena_.get(), kArena);
#endif
  races::forget(arena_.get(), kArena);
  pieces_.clear();
  used_ = 0;
  static_bytes_ = 0;
  carve(nullptr, dynamic_bytes, kDynamicAlignment);
}

std::byte* SharedMemory::carve(const SharedArray* declaration, std::size_t bytes,
                               std::size_t alignment) {
  const auto base = reinterpret_cast<std::uintptr_t>(arena_.get());
  // The next address that is aligned so, and not twice as well.
  std::uintptr_t address = base + used_ + kRedZone;
  address += (3 * alignment - address % (2 * alignment)) % (2 * alignment);
  const std::size_t end = address + bytes - base + kRedZone;
  if (end > kArena) fail("declares more shared memory than there is", Place::current());
  std::byte* data = arena_.get() + (address - base);
  std::memset(arena_.get() + used_, kPoison, end - used_);
  set_red_zone(arena_.get() + used_, static_cast<std::size_t>(data - arena_.get()) - used_);
  set_red_zone(data + bytes, kRedZone);
  used_ = end;
  pieces_.push_back({declaration, data, bytes});
  return data;
}

std::byte* SharedMemory::array(const SharedArray& declaration) {
  for (const Piece& piece : pieces_) {
    if (piece.declaration == &declaration) return piece.data;
  }
  static_bytes_ += declaration.bytes;
  const std::size_t dynamic_bytes = pieces_[0].bytes;
  const bool asked = dynamic_bytes > static_cast<std::size_t>(kSharedWithoutAsking);
  const std::size_t most = asked ? emulated_gpu().shared_of_block : kStaticSharedBytes;
  if (static_bytes_ > kStaticSharedBytes || static_bytes_ + dynamic_bytes > most) {
    fail("declares " + std::to_string(static_bytes_) + " bytes of shared arrays beside " +
             std::to_string(dynamic_bytes) + " dynamic ones; at most " +
             std::to_string(kStaticSharedBytes) + " and " + std::to_string(most) +
             " in all are there",
         declaration.where);
  }
  return carve(&declaration, declaration.bytes, kStaticAlignment);
}

bool SharedMemory::holds(const void* address, std::size_t bytes) const {
  const auto* start = static_cast<const std::byte*>(address);
  for (const Piece& piece : pieces_) {
    if (start >= piece.data && start + bytes <= piece.data + piece.bytes) return true;
  }
  return false;
}

std::string SharedMemory::damage() const {
#if !defined(__SANITIZE_ADDRESS__)
  const std::byte* zone = arena_.get();
  for (const Piece& piece : pieces_) {
    const std::string name = piece.declaration == nullptr
                                 ? "its dynamic shared memory"
                                 : "shared array \"" + std::string(piece.declaration->name) + '"';
    for (; zone < piece.data; ++zone) {
      if (*zone != static_cast<std::byte>(kPoison)) {
        return "wrote " + std::to_string(piece.data - zone) + " bytes before " + name;
      }
    }
    zone = piece.data + piece.bytes;
    for (std::size_t i = 0; i < kRedZone; ++i, ++zone) {
      if (*zone != static_cast<std::byte>(kPoison)) {
        return "wrote " + std::to_string(i) + " bytes behind the end of " + name;
      }
    }
  }
#endif
  return "";
}

}  // namespace braid::simt
