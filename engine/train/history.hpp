#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace braid {

// Named numbers of one epoch, batch or evaluation, in alphabetical order as Keras's
// ("learning_rate" last).
class Logs {
 public:
  using Item = std::pair<std::string, double>;

  Logs() = default;
  // Numbers that are fetched, from a device perhaps, when somebody looks at them first: that may
  // wait for the device. A copy has them.
  explicit Logs(std::function<Logs()> fetch) : fetch_(std::move(fetch)) {}
  Logs(const Logs& other) : items_(other.items()) {}
  Logs(Logs&&) = default;
  Logs& operator=(const Logs& other);
  Logs& operator=(Logs&&) = default;
  ~Logs() = default;

  // Throws NameError with the known names for an unknown key.
  double operator[](std::string_view name) const;
  double at(std::string_view name) const { return (*this)[name]; }
  bool contains(std::string_view name) const;
  void set(std::string_view name, double value);
  std::size_t size() const { return items().size(); }
  bool empty() const { return items().empty(); }
  auto begin() const { return items().begin(); }
  auto end() const { return items().end(); }
  void reserve(std::size_t count) { items_.reserve(count); }
  // Appends without sorting: for names that come in order.
  void append(std::string name, double value) { items_.emplace_back(std::move(name), value); }

 private:
  const std::vector<Item>& items() const;

  mutable std::function<Logs()> fetch_;
  mutable std::vector<Item> items_;
};

// The logs of every epoch of a fit.
class History {
 public:
  // The values of one key, one an epoch that had it. NameError for an unknown key.
  const std::vector<double>& operator[](std::string_view name) const;
  bool contains(std::string_view name) const;
  // Keys in the order of Logs.
  std::vector<std::string> names() const;
  // Numbers of the epochs that were run, from 0.
  const std::vector<int>& epochs() const { return epochs_; }

  void add(int epoch, const Logs& logs);

 private:
  std::vector<std::pair<std::string, std::vector<double>>> columns_;
  std::vector<int> epochs_;
};

}  // namespace braid
