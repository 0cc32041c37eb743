#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/train/gathering.hpp"

namespace braid {

// One runner of a step graph: brings rows of the user's tensors into the form the graph wants (in
// place where they have it already), runs, and keeps its memory for the next batch. One at a time
// per thread.
class Session {
 public:
  explicit Session(StepGraph& step);

  // Stages and plans a batch and takes the memory of its run, without running it: throws what the
  // shapes are wrong about. OutOfMemory.
  void prepare(const Bound& bound, const BatchRows& rows);
  void run(const RunState& state, const Followers& followers = {});

  // The program of a batch whose rows are gathered on the device.
  std::shared_ptr<const Program> plan(const Bound& bound, const BatchRows& rows);
  // The program of a batch of so many rows with the longest ragged rows of all: takes the memory
  // that any batch of these data needs. OutOfMemory.
  std::shared_ptr<const Program> reserve_largest(const Bound& bound, std::int64_t rows);
  void run_steps(std::shared_ptr<const Program> program, const Steps& steps);

  const Program& program() const { return *program_; }
  // Element 0 onwards of the n-th output: valid until the next run.
  template <class T>
  Matrix<const T> output(int number) const {
    return workspace_.output<T>(*program_, static_cast<std::size_t>(number));
  }
  // Several of them: read(place in `outputs`, matrix). The host waits once for all, if they are
  // small.
  template <class T, class Read>
  void read_together(std::span<const int> outputs, const Read& read) const {
    workspace_.read_together<T>(*program_, outputs, read);
  }
  // One where it lies, on the program's device.
  template <class T>
  Matrix<const T> output_there(int number) const {
    return workspace_.output_there<T>(*program_, static_cast<std::size_t>(number));
  }
  const kernels::Stream& stream() const { return workspace_.stream(); }
  // Before launches in the stream that nobody waits for.
  void leave_launches() const { workspace_.leave_launches(); }
  // Where the state of a run lies on the device: there to stay behind reserve_largest.
  RunState* state() const { return workspace_.state(); }
  // Copies rows of each predicted output behind each other to its end, and moves that on. Ragged:
  // steps of each row only.
  void copy_predictions(std::vector<std::byte*>& ends) const;

 private:
  // Finds the shape of a batch of the tensor, and how long its ragged rows are.
  void measure(const Feed& feed, const Tensor& tensor, const BatchRows& rows);
  // Has the tensor's rows gathered, or takes them where they are.
  void stage(const Feed& feed, const Tensor& tensor, const BatchRows& rows);
  // The same for a device: gathered to where they are sent from, if the program reads them.
  void stage_for_device(const Feed& feed, const Tensor& tensor,
                        const std::vector<std::byte*>& places);
  std::byte* buffer(int value, std::int64_t bytes);
  // As bytes, whatever the dtype: rows and columns of the matrix are counted in elements.
  std::byte* copy_prediction(std::size_t output, const Matrix<const std::byte>& matrix,
                             std::byte* out) const;

  StepGraph& step_;
  std::vector<ValueInfo> infos_;
  std::vector<const std::byte*> pointers_;
  std::vector<kernels::GatheredColumn> gathered_;
  std::vector<std::vector<std::byte>> buffers_;
  std::vector<std::vector<std::int64_t>>
      lengths_;  // of the ragged rows of this batch, by graph input
  std::shared_ptr<const Program> program_;
  Workspace workspace_;
};

}  // namespace braid
