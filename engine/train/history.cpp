#include "engine/train/history.hpp"

#include <algorithm>

#include "engine/core/error.hpp"

namespace braid {
namespace {

template <class Items>
[[noreturn]] void unknown(std::string_view name, const Items& items, const char* owner) {
  std::vector<std::string> known;
  for (const auto& item : items) known.push_back(item.first);
  throw NameError(std::string(owner) + ": no key \"" + std::string(name) + "\"; known are " +
                  quoted_list(known) + "." + suggestion(name, known));
}

// "learning_rate", added by callbacks, comes last.
bool comes_before(std::string_view a, std::string_view b) {
  const bool a_last = a == "learning_rate";
  const bool b_last = b == "learning_rate";
  return a_last == b_last ? a < b : b_last;
}

}  // namespace

Logs& Logs::operator=(const Logs& other) {
  if (this != &other) *this = Logs(other);
  return *this;
}

const std::vector<Logs::Item>& Logs::items() const {
  if (fetch_) {
    items_ = std::move(fetch_().items_);
    fetch_ = nullptr;
  }
  return items_;
}

double Logs::operator[](std::string_view name) const {
  for (const Item& item : items()) {
    if (item.first == name) return item.second;
  }
  unknown(name, items(), "logs");
}

bool Logs::contains(std::string_view name) const {
  return std::any_of(items().begin(), items().end(),
                     [&](const Item& item) { return item.first == name; });
}

void Logs::set(std::string_view name, double value) {
  static_cast<void>(items());
  auto place = items_.begin();
  while (place != items_.end() && comes_before(place->first, name)) ++place;
  if (place != items_.end() && place->first == name) {
    place->second = value;
  } else {
    items_.emplace(place, std::string(name), value);
  }
}

const std::vector<double>& History::operator[](std::string_view name) const {
  for (const auto& column : columns_) {
    if (column.first == name) return column.second;
  }
  unknown(name, columns_, "history");
}

bool History::contains(std::string_view name) const {
  return std::any_of(columns_.begin(), columns_.end(),
                     [&](const auto& column) { return column.first == name; });
}

std::vector<std::string> History::names() const {
  std::vector<std::string> names;
  for (const auto& column : columns_) names.push_back(column.first);
  return names;
}

void History::add(int epoch, const Logs& logs) {
  epochs_.push_back(epoch);
  for (const auto& [name, value] : logs) {
    auto place = columns_.begin();
    while (place != columns_.end() && comes_before(place->first, name)) ++place;
    if (place == columns_.end() || place->first != name) place = columns_.insert(place, {name, {}});
    place->second.push_back(value);
  }
}

}  // namespace braid
