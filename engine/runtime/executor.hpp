#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "engine/runtime/program.hpp"
#include "engine/runtime/workspace.hpp"

namespace braid {

// Runs one graph on batches of any shape: programs are planned when a shape comes first and kept by
// shape. Safe from several threads at once; each takes a workspace of its own for as long as it
// needs the results.
class Executor {
 public:
  // See Program.
  Executor(std::shared_ptr<const Graph> graph, std::vector<Value> outputs,
           Device device = default_device(),
           kernels::Precision precision = kernels::Precision::float32,
           std::vector<Value> left_in_slices = {})
      : graph_(std::move(graph)),
        outputs_(std::move(outputs)),
        device_(device),
        precision_(precision),
        left_in_slices_(std::move(left_in_slices)) {}

  const Graph& graph() const { return *graph_; }
  const std::vector<Value>& outputs() const { return outputs_; }
  Device device() const { return device_; }

  // The program for inputs of these shapes (one for each graph input, in order). Those of the
  // shapes met last are kept.
  std::shared_ptr<const Program> program(const std::vector<ValueInfo>& inputs);

  // A workspace on loan; goes back when it is destroyed.
  class Loan {
   public:
    Loan(Executor& executor, std::unique_ptr<Workspace> workspace)
        : executor_(&executor), workspace_(std::move(workspace)) {}
    Loan(Loan&&) = default;
    ~Loan();
    Workspace& operator*() const { return *workspace_; }
    Workspace* operator->() const { return workspace_.get(); }

   private:
    Executor* executor_;
    std::unique_ptr<Workspace> workspace_;
  };
  Loan borrow();

 private:
  struct Planned {
    std::vector<ValueInfo> inputs;
    std::shared_ptr<const Program> program;
  };

  std::shared_ptr<const Graph> graph_;
  std::vector<Value> outputs_;
  Device device_;
  kernels::Precision precision_;
  std::vector<Value> left_in_slices_;
  std::mutex mutex_;
  std::vector<Planned> programs_;  // the one used last in front
  std::vector<std::unique_ptr<Workspace>> idle_;
};

// True if BRAID_DUMP=graph,plan,program,data names this stage.
bool dump_wanted(const char* stage);

}  // namespace braid
