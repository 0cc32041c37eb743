#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace braid::simt {

// Numbers below a limit, with the first, the last and the next one found at once: bits, and a bit
// for every word of them that is not 0.
class RunnableSet {
 public:
  void reset(int limit) {
    words_.assign((static_cast<std::size_t>(limit) + 63) / 64, 0);
    summary_.assign((words_.size() + 63) / 64, 0);
    count_ = 0;
    limit_ = limit;
  }
  bool empty() const { return count_ == 0; }
  int limit() const { return limit_; }
  void insert(int number) {
    const auto n = static_cast<std::size_t>(number);
    const std::uint64_t bit = std::uint64_t{1} << (n % 64);
    count_ += (words_[n / 64] & bit) == 0 ? 1 : 0;
    words_[n / 64] |= bit;
    summary_[n / 4096] |= std::uint64_t{1} << (n / 64 % 64);
  }
  void erase(int number) {
    const auto n = static_cast<std::size_t>(number);
    const std::uint64_t bit = std::uint64_t{1} << (n % 64);
    count_ -= (words_[n / 64] & bit) != 0 ? 1 : 0;
    words_[n / 64] &= ~bit;
    if (words_[n / 64] == 0) summary_[n / 4096] &= ~(std::uint64_t{1} << (n / 64 % 64));
  }
  int first() const {
    std::size_t top = 0;
    while (summary_[top] == 0) ++top;
    return lowest(top * 64 + static_cast<std::size_t>(std::countr_zero(summary_[top])));
  }
  int last() const {
    std::size_t top = summary_.size() - 1;
    while (summary_[top] == 0) --top;
    const std::size_t word =
        top * 64 + 63 - static_cast<std::size_t>(std::countl_zero(summary_[top]));
    return static_cast<int>(word * 64) + 63 - std::countl_zero(words_[word]);
  }
  // The first one at or after `number`, or, where none is, the first of all.
  int at_or_after(int number) const {
    const auto n = static_cast<std::size_t>(number);
    const std::uint64_t rest = words_[n / 64] >> (n % 64);
    if (rest != 0) return number + std::countr_zero(rest);
    for (std::size_t word = n / 64 + 1; word < words_.size(); ++word) {
      if (words_[word] != 0) return lowest(word);
    }
    return first();
  }

 private:
  int lowest(std::size_t word) const {
    return static_cast<int>(word * 64) + std::countr_zero(words_[word]);
  }

  std::vector<std::uint64_t> words_;
  std::vector<std::uint64_t> summary_;
  int count_ = 0;
  int limit_ = 0;
};

}  // namespace braid::simt
