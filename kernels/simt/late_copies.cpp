#include "kernels/simt/late_copies.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/simt/broken_device.hpp"

namespace braid::simt {
namespace {

constexpr int kPoison = 0xFF;  // NaN

void copy_bytes(std::byte* to, const std::byte* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

}  // namespace

void LateCopies::upload(std::byte* to, const std::byte* from, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  copies_.push_back({++asked_, to, from, bytes, false});
}

void LateCopies::download(std::byte* to, const std::byte* from, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > 0) std::memset(to, kPoison, bytes);
  copies_.push_back({++asked_, to, from, bytes, true});
}

std::int64_t LateCopies::mark() {
  const std::lock_guard lock(mutex_);
  return ++asked_;
}

void LateCopies::carry_out() {
  const std::lock_guard lock(mutex_);
  carry_out_to(asked_);
}

void LateCopies::note_launch() {
  const std::lock_guard lock(mutex_);
  carry_out_to(++asked_);
  launched_ = asked_;
  launcher_ = std::this_thread::get_id();
}

bool LateCopies::is_unawaited_here() {
  const std::lock_guard lock(mutex_);
  return launched_ > awaited_ && launcher_ == std::this_thread::get_id();
}

void LateCopies::wait_for(std::int64_t place) {
  const std::lock_guard lock(mutex_);
  carry_out_to(place);
  deliver(place);
}

void LateCopies::wait_for_all() {
  const std::lock_guard lock(mutex_);
  carry_out_to(asked_);
  deliver(asked_);
}

bool LateCopies::is_done(std::int64_t place) {
  const std::lock_guard lock(mutex_);
  if (place > done_) return false;
  deliver(place);
  return true;
}

void LateCopies::carry_out_to(std::int64_t place) {
  std::size_t made = 0;
  for (; made < copies_.size() && copies_[made].place <= place; ++made) {
    const Copy& copy = copies_[made];
    if (is_broken()) continue;
    if (copy.to_host) {
      deliveries_.push_back({copy.place, copy.to, {copy.from, copy.from + copy.bytes}});
    } else {
      copy_bytes(copy.to, copy.from, copy.bytes);
    }
  }
  copies_.erase(copies_.begin(), copies_.begin() + static_cast<std::ptrdiff_t>(made));
  done_ = std::max(done_, place);
}

void LateCopies::deliver(std::int64_t place) {
  awaited_ = std::max(awaited_, place);
  std::size_t made = 0;
  for (; made < deliveries_.size() && deliveries_[made].place <= place; ++made) {
    const Delivery& delivery = deliveries_[made];
    copy_bytes(delivery.to, delivery.bytes.data(), delivery.bytes.size());
  }
  deliveries_.erase(deliveries_.begin(), deliveries_.begin() + static_cast<std::ptrdiff_t>(made));
}

}  // namespace braid::simt
