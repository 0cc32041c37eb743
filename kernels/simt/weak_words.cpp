#if defined(BRAID_SIMT_RACES)
#include <algorithm>
#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

#include "kernels/simt/race_clocks.hpp"
#include "kernels/simt/races.hpp"

// Words that threads leave for each other while others read them. On a GPU a store may take its
// time on the way to each reader, and a load may be ahead of those before it. So a thread finds
// here any word that was left at the place, drawn by chance, unless it knows by barriers or fences
// of a newer one, or a newer one has been found by itself or by somebody of whose finding it knows.
// These are the rules of the PTX memory model for relaxed accesses, but for loads that find what is
// stored only because of them, and for the order of stores of several threads to one place.
namespace braid::simt::races {
namespace {

struct Left {
  unsigned word = 0;
  Moment moment;  // without a round: before all that could be known
  SharedClock handed_on;
};
// The first time that a thread found a word.
struct Found {
  Moment moment;
  std::int64_t number = 0;  // of the word, counted from the first at the place
};
constexpr std::int64_t kKept = 4;  // words of a place

struct History {
  std::int64_t count = 0;        // of words that were left at the place
  std::array<Left, kKept> left;  // the last of them, by their number
  std::vector<Found> found;      // of these

  Left& at(std::int64_t number) { return left[static_cast<std::size_t>(number % kKept)]; }
  void leave(Left word) { at(count++) = std::move(word); }
  void note_found(const Found& by_thread, std::int64_t first) {
    const bool again = std::any_of(found.begin(), found.end(), [&](const Found& before) {
      return before.moment.thread == by_thread.moment.thread && before.number == by_thread.number;
    });
    if (again) return;
    std::erase_if(found, [&](const Found& before) { return before.number <= first; });
    found.push_back(by_thread);
  }
};
constexpr std::uintptr_t kPage = 4096;
using Page = std::array<History, kPage / sizeof(unsigned)>;

std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages;

// What is in memory was written otherwise, if nobody left it: whoever reads it is behind that.
History& history_of(const unsigned* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  std::unique_ptr<Page>& page = pages[at / kPage];
  if (!page) page = std::make_unique<Page>();
  History& history = (*page)[at % kPage / sizeof(unsigned)];
  if (history.count == 0 || history.at(history.count - 1).word != *address) {
    history = {};
    history.leave({.word = *address});
  }
  return history;
}

}  // namespace

void forget_words() { pages.clear(); }

void leave_word(unsigned* address, unsigned word) {
  if (!only_counts) history_of(address).leave({word, now(), handed_on()});
  *address = word;
}

unsigned find_word(const unsigned* address) {
  if (only_counts) return *address;
  History& history = history_of(address);
  const std::int64_t newest = history.count - 1;
  const std::int64_t first = std::max<std::int64_t>(0, history.count - kKept);
  std::int64_t oldest = newest;
  while (oldest > first && !is_known(history.at(oldest).moment)) --oldest;
  for (const Found& found : history.found) {
    if (found.number > oldest && is_known(found.moment)) oldest = found.number;
  }
  const auto choices = static_cast<std::uint64_t>(newest - oldest + 1);
  const std::int64_t number = oldest + static_cast<std::int64_t>(random_number() % choices);
  if (number != newest) note_progress();  // the next time it may be
  if (number > first) history.note_found({now(), number}, first);
  receive(history.at(number).handed_on);
  return history.at(number).word;
}

}  // namespace braid::simt::races
#endif
