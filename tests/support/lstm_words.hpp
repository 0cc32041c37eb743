#pragma once
#include "tests/support/guarded_matrix.hpp"
#include "tests/support/lstm_reference.hpp"

namespace braid::testing {

// The inputs of an LSTM twice: as they are, and by ids of the rows of a table.
class LstmWords {
 public:
  static constexpr std::int64_t kTableRows = 6;

  LstmWords(const LstmProblem& problem, RandomNumbers& random, std::int64_t rows = kTableRows)
      : problem_(problem),
        table_(random.floats(rows * problem.features, -1, 1), problem.features, 1) {
    Numbers ids;
    for (std::int64_t n = 0; n < problem.rows * problem.steps; ++n)
      ids.push_back(static_cast<double>(random.below(rows)));
    name(ids);
  }

  // These ids instead.
  void name(const Numbers& ids) {
    problem_.in.clear();
    const Numbers values = table_.values();
    for (const double id : ids) {
      const auto row = values.begin() + static_cast<std::int64_t>(id) * problem_.features;
      problem_.in.insert(problem_.in.end(), row, row + problem_.features);
    }
    ids_ = GuardedMatrix<std::int32_t>(ids, problem_.steps, 2);
  }

  const LstmProblem& problem() const { return problem_; }
  Matrix<std::int32_t> ids() { return ids_.matrix(); }
  std::int32_t& id(std::int64_t row, std::int64_t step) { return ids_.matrix().row(row)[step]; }
  template <class Arguments>
  void give_to(Arguments& arguments) {
    arguments.in = {};
    arguments.ids = ids_.matrix();
    arguments.table = table_.matrix();
  }

 private:
  LstmProblem problem_;
  GuardedMatrix<float> table_;
  GuardedMatrix<std::int32_t> ids_;
};

}  // namespace braid::testing
