// Lists of an optimizer's updates, which a GPU carries out in one launch, against the same updates
// one by one.
#include <string>
#include <vector>

#include "kernels/optimizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// One of a list of parameters.
struct ListedParameter {
  explicit ListedParameter(const Numbers& start)
      : count(static_cast<std::int64_t>(start.size())), w(1, count), m(1, count), v(1, count) {
    w.fill(start);
    m.fill(Numbers(start.size(), 0.25));
    v.fill(Numbers(start.size(), 0.5));
  }
  bool is_same(ListedParameter& other) {
    return w.elements() == other.w.elements() && m.elements() == other.m.elements() &&
           v.elements() == other.v.elements() && other.w.guards_are_intact() &&
           other.m.guards_are_intact() && other.v.guards_are_intact();
  }
  std::int64_t count;
  GuardedMatrix<float> w;
  GuardedMatrix<float> m;
  GuardedMatrix<float> v;
};

// Empty, short and full lists of parameters of any size.
template <class List, class Make>
void check_lists(const std::string& rule, const Make& make) {
  RandomNumbers random(171);
  for (const std::int64_t length :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{5}, List::kMost}) {
    for (const Backend backend : tested_backends()) {
      INFO(rule << ", a list of " << length << " on " << kernels::name_of(backend));
      std::vector<ListedParameter> alone;
      std::vector<ListedParameter> listed;
      std::vector<GuardedMatrix<float>> gradients;
      for (std::int64_t i = 0; i < length; ++i) {
        const std::int64_t count = i * 97 % 300;
        alone.emplace_back(random.floats(count, -1, 1));
        listed.push_back(alone.back());
        gradients.emplace_back(1, count);
        gradients.back().fill(random.floats(count, -2, 2));
      }
      List list;
      list.count = length;
      for (std::size_t i = 0; i < alone.size(); ++i) {
        const kernels::GradientSource gradient{.data = gradients[i].data()};
        launch_on(backend, make(gradient, alone[i]));
        list.each[i] = make(gradient, listed[i]);
      }
      launch_on(backend, list);
      for (std::size_t i = 0; i < alone.size(); ++i) CHECK(alone[i].is_same(listed[i]));
    }
  }
}

// A variable of so many parameters that threads take four, and one of few behind whose last four
// are some more; gradients in more slices than are asked for at once.
template <class List, class Make>
void check_fours(const std::string& rule, const Make& make) {
  const std::vector<std::int64_t> counts{(std::int64_t{1} << 20U) + 3, 5};
  constexpr std::int64_t kSlices = 10;
  RandomNumbers random(172);
  for (const Backend backend : tested_backends()) {
    if (!runs_on_device(backend)) continue;
    INFO(rule << " on " << kernels::name_of(backend));
    std::vector<ListedParameter> wanted;
    std::vector<ListedParameter> got;
    std::vector<GuardedMatrix<float>> gradients;
    List list;
    list.count = static_cast<std::int64_t>(counts.size());
    for (const std::int64_t count : counts) {
      wanted.emplace_back(random.floats(count, -1, 1));
      got.push_back(wanted.back());
      gradients.emplace_back(kSlices, (count + 3) / 4 * 4);
      gradients.back().fill(random.floats(kSlices * gradients.back().matrix().stride, -2, 2));
    }
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const kernels::GradientSource gradient{.data = gradients[i].data(),
                                             .slices = kSlices,
                                             .slice_stride = gradients[i].matrix().stride};
      launch_on(Backend::portable, make(gradient, wanted[i]));
      list.each[i] = make(gradient, got[i]);
    }
    launch_on(backend, list);
    for (std::size_t i = 0; i < counts.size(); ++i) CHECK(wanted[i].is_same(got[i]));
  }
}

// Calls check.operator()<List>(name, update of a gradient and a parameter) for each rule.
template <class Check>
void for_rules(const Check& check) {
  const KernelMemory<kernels::UpdateRates> rates{{0.05F, 0.02F}};
  check.template operator()<kernels::SgdUpdates>(
      "sgd", [&](const kernels::GradientSource& gradient, ListedParameter& p) {
        return kernels::SgdUpdate{.gradient = gradient,
                                  .parameter = p.w.data(),
                                  .velocity = p.m.data(),
                                  .count = p.count,
                                  .rates = rates.data(),
                                  .momentum = 0.9F,
                                  .weight_decay = 0.01F,
                                  .nesterov = true};
      });
  check.template operator()<kernels::RmspropUpdates>(
      "rmsprop", [&](const kernels::GradientSource& gradient, ListedParameter& p) {
        return kernels::RmspropUpdate{.gradient = gradient,
                                      .parameter = p.w.data(),
                                      .velocity = p.v.data(),
                                      .momentum_slot = p.m.data(),
                                      .count = p.count,
                                      .rates = rates.data(),
                                      .rho = 0.9F,
                                      .one_minus_rho = 0.1F,
                                      .momentum = 0.8F,
                                      .epsilon = 1e-7F};
      });
  check.template operator()<kernels::AdamUpdates>(
      "adam", [&](const kernels::GradientSource& gradient, ListedParameter& p) {
        return kernels::AdamUpdate{.gradient = gradient,
                                   .parameter = p.w.data(),
                                   .momentum = p.m.data(),
                                   .velocity = p.v.data(),
                                   .count = p.count,
                                   .rates = rates.data(),
                                   .one_minus_beta_1 = 0.1F,
                                   .one_minus_beta_2 = 0.001F,
                                   .epsilon = 1e-7F};
      });
}

}  // namespace

TEST_CASE("optimizer: a list of updates gives the bits of one update after the other") {
  for_rules(
      []<class List>(const std::string& rule, const auto& make) { check_lists<List>(rule, make); });
}

TEST_CASE("optimizer: many parameters in fours have the bits of a processor's one by one") {
  for_rules(
      []<class List>(const std::string& rule, const auto& make) { check_fours<List>(rule, make); });
}
