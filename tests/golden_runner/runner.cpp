#include "tests/golden_runner/runner.hpp"

#include <map>

namespace braid::golden {
namespace {

using Runner = void (*)(const Case&, Check&);

const std::map<std::string, Runner>& runners() {
  static const std::map<std::string, Runner> by_kind{
      {"layer", run_layer},
      {"activation", run_activation},
      {"head", run_head},
      {"loss", run_loss},
      {"metric", run_metric},
      {"optimizer", run_optimizer},
      {"schedule", run_schedule},
      {"regularizer", run_regularizer},
      {"initializer_value", run_initializer_value},
      {"fans", run_fans},
      {"orthogonal", run_orthogonal},
      {"statistics", run_statistics},
      {"layer_initial", run_layer_initial},
      {"trajectory", run_trajectory},
      {"fit", run_fit},
      {"mask_table", run_mask_table},
  };
  return by_kind;
}

}  // namespace

Outcome run_case(const Case& golden) {
  try {
    if (golden.description().contains("not_reproduced")) return {Verdict::left_out, {}, 0};
    const auto runner = runners().find(golden.kind());
    if (runner == runners().end())
      return {Verdict::skipped, "no runner for cases of kind \"" + golden.kind() + "\"", 0};
    Check check(golden);
    runner->second(golden, check);
    if (check.failures().empty()) return {Verdict::passed, {}, check.worst()};
    std::string reason = check.failures().front();
    if (check.failures().size() > 1)
      reason += " (and " + std::to_string(check.failures().size() - 1) + " more)";
    return {Verdict::failed, reason, check.worst()};
  } catch (const NotThere& missing) {
    return {Verdict::skipped, missing.what(), 0};
  } catch (const std::exception& error) {
    return {Verdict::failed, error.what(), 0};
  }
}

}  // namespace braid::golden
