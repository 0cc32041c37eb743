#include "kernels/simt/late_copies.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/simt/broken_device.hpp"

namespace braid::simt {
namespace {

constexpr int kPoison = 0xFF;  // NaN
constexpr std::size_t kMostReaders = 256;

// One for all: streams carry out one another's copies.
std::recursive_mutex all;

void copy_bytes(std::byte* to, const std::byte* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

}  // namespace

void LateCopies::upload(std::byte* to, const std::byte* from, std::size_t bytes) {
  const std::lock_guard lock(all);
  late_.push_back({++asked_, to, from, bytes, false, nullptr, 0});
  const auto found = std::find_if(brought_.begin(), brought_.end(),
                                  [&](const Brought& brought) { return brought.to == to; });
  if (found == brought_.end()) {
    brought_.push_back({to, asked_});
  } else {
    found->place = asked_;
  }
}

void LateCopies::download(std::byte* to, const std::byte* from, std::size_t bytes) {
  const std::lock_guard lock(all);
  if (bytes > 0) std::memset(to, kPoison, bytes);
  late_.push_back({++asked_, to, from, bytes, true, nullptr, 0});
}

void LateCopies::await(const std::shared_ptr<LateCopies>& other, std::int64_t place) {
  if (other.get() == this) return;
  const std::lock_guard lock(all);
  late_.push_back({++asked_, nullptr, nullptr, 0, false, other, place});
  const auto found = std::find_if(behind_.begin(), behind_.end(), [&](const Behind& behind) {
    return behind.stream == other.get();
  });
  if (found == behind_.end()) {
    behind_.push_back({other.get(), place});
  } else {
    found->place = std::max(found->place, place);
  }
  reading_.push_back(std::make_shared<std::int64_t>(0));
  other->readers_.push_back({weak_from_this(), place, reading_.back()});
  if (other->readers_.size() > kMostReaders) other->readers_.pop_front();
}

std::int64_t LateCopies::behind(const LateCopies* other) const {
  for (const Behind& behind : behind_) {
    if (behind.stream == other) return behind.place;
  }
  return 0;
}

bool LateCopies::may_be_read(const std::byte* to) {
  const std::lock_guard lock(all);
  const auto found = std::find_if(brought_.begin(), brought_.end(),
                                  [&](const Brought& brought) { return brought.to == to; });
  if (found == brought_.end()) return false;
  std::vector<const LateCopies*> known;
  for (const Reader& reader : readers_) {
    const std::shared_ptr<LateCopies> stream = reader.stream.lock();
    if (reader.place < found->place || stream == nullptr) continue;
    if (std::find(known.begin(), known.end(), stream.get()) != known.end()) continue;
    known.push_back(stream.get());
    const std::int64_t launch = *reader.launch;
    if (launch > std::max(behind(stream.get()), stream->awaited_)) return true;
  }
  return false;
}

std::int64_t LateCopies::mark() {
  const std::lock_guard lock(all);
  return ++asked_;
}

void LateCopies::carry_out() {
  const std::lock_guard lock(all);
  carry_out_to(asked_);
}

void LateCopies::note_launch() {
  const std::lock_guard lock(all);
  carry_out_to(++asked_);
  launched_ = asked_;
  for (const auto& launch : reading_) *launch = launched_;
  reading_.clear();
  launcher_ = std::this_thread::get_id();
}

bool LateCopies::is_unawaited_here() {
  const std::lock_guard lock(all);
  return launched_ > awaited_ && launcher_ == std::this_thread::get_id();
}

void LateCopies::wait_for(std::int64_t place) {
  const std::lock_guard lock(all);
  carry_out_to(place);
  deliver(place);
}

void LateCopies::wait_for_all() {
  const std::lock_guard lock(all);
  carry_out_to(asked_);
  deliver(asked_);
}

bool LateCopies::is_done(std::int64_t place) {
  const std::lock_guard lock(all);
  if (place > done_) return false;
  deliver(place);
  return true;
}

void LateCopies::carry_out_to(std::int64_t place) {
  while (!late_.empty() && late_.front().place <= place) {
    const Asked next = late_.front();
    late_.pop_front();
    if (next.other != nullptr) {
      next.other->carry_out_to(next.other_place);
    } else if (is_broken()) {
      continue;
    } else if (next.to_host) {
      deliveries_.push_back({next.place, next.to, {next.from, next.from + next.bytes}});
    } else {
      copy_bytes(next.to, next.from, next.bytes);
    }
  }
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
