#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/core/device_access.hpp"
#include "engine/runtime/pinned_block.hpp"
#include "engine/runtime/program.hpp"
#include "engine/runtime/recordings.hpp"
#include "engine/runtime/row_tables.hpp"
#include "engine/runtime/steps.hpp"
#include "kernels/dropout.hpp"
#include "kernels/optimizer.hpp"

namespace braid {

// What a run depends on beside its inputs.
struct RunState {
  kernels::RandomState random = {};  // of dropout
  kernels::UpdateRates rates = {};   // of what follows the program
};

// Names launches that are always the same ones, so that a recording of them may stand for them: a
// number that was never given before.
std::uint64_t new_launch_key();

// Launches that follow a program's own in every run, always the same ones for a key.
struct Followers {
  std::uint64_t key = 0;
  std::function<void()> launch = {};
};

// Memory on a device for runs of one program at a time, and a stream of that device; the memory
// grows to the largest program it has met, and nothing is allocated after that.
class Workspace {
 public:
  explicit Workspace(Device device = default_device());
  // On the CPU, with kernels of an instruction set of choice.
  explicit Workspace(kernels::Stream stream) : Workspace(Device::cpu()) { stream_ = stream; }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  Device device() const { return device_; }
  const kernels::Stream& stream() const { return stream_; }

  // Runs the program. `inputs` holds one pointer for each graph input, to packed elements of the
  // planned shapes in host memory; null for inputs that the program does not read. A device that
  // can record the launches of the second run replays them from then on (BRAID_NO_GRAPH=1: never).
  void run(const Program& program, const std::vector<const std::byte*>& inputs,
           const RunState& state = {}, const Followers& followers = {});

  // On a device: where the host may put the inputs, so that the next run of the program has them
  // sent without a copy; null for inputs that it does not read. That run is given these pointers.
  // OutOfMemory.
  const std::vector<std::byte*>& stage(const Program& program);

  // Takes all memory that runs of the program need. OutOfMemory: then none is held, and the next
  // program begins anew.
  void reserve(const Program& program) { reserve(program, nullptr); }
  // Runs a program on a device, several times over. What these runs depend on lies there already;
  // the host waits for nothing.
  void run_steps(const Program& program, const Steps& steps);
  // For launches of others in this stream that nobody waits for: to be called before the first.
  void leave_launches() const;
  // Where the state of a run lies on the device: valid until memory is taken for a program with
  // larger inputs than any before.
  RunState* state() const {
    return on_device_ ? reinterpret_cast<RunState*>(inputs_there_.data()) : &state_here_;
  }

  // The n-th output of the program run last, in host memory: valid until the next run.
  template <class T>
  Matrix<const T> output(const Program& program, std::size_t index) const {
    Matrix<const T> matrix = output_there<T>(program, index);
    const Operand& operand = program.outputs()[index];
    const bool is_here = !on_device_ && operand.slices == 1;
    if (!is_here && matrix.data != nullptr && matrix.rows > 0) {
      matrix.data =
          reinterpret_cast<const T*>(fetch(index, reinterpret_cast<const std::byte*>(matrix.data),
                                           bytes_of(program, index), operand));
    }
    return matrix;
  }
  // Hands over several outputs, none of them in slices: read(place in `outputs`, matrix). Where
  // they are small, the host waits once for all that a device sends. Valid until the next such
  // call.
  template <class T, class Read>
  void read_together(const Program& program, std::span<const int> outputs, const Read& read) const {
    const std::byte* from = fetch_together(program, outputs);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const auto index = static_cast<std::size_t>(outputs[i]);
      if (from == nullptr) {
        read(i, output<T>(program, index));
        continue;
      }
      auto matrix = output_there<T>(program, index);
      matrix.data = reinterpret_cast<const T*>(from);
      from += room_for(program, index);
      read(i, matrix);
    }
  }
  // The same where it lies: in the memory of the device. Of an output in slices, the first.
  template <class T>
  Matrix<const T> output_there(const Program& program, std::size_t index) const {
    const Operand& operand = program.outputs()[index];
    const std::int64_t rows = operand.rows * (operand.batched ? program.batch() : 1);
    return {reinterpret_cast<const T*>(base_of(operand) + operand.offset), rows, operand.columns,
            operand.stride};
  }

  // Overwrites all memory, the outputs too: shows what a run reads before it has written it.
  void fill(std::byte pattern);

 private:
  // Grows where asked for more.
  struct Buffer {
    std::byte* reserve(Workspace& owner, std::int64_t bytes);
    std::byte* data() const { return storage.get(); }
    std::int64_t capacity = 0;
    std::shared_ptr<std::byte[]> storage;
  };

  // Throws std::bad_alloc.
  void take_memory(const Program& program, const Steps* steps);
  // False where there is not so much; then none is held.
  bool takes_memory(const Program& program, const Steps* steps);
  void reserve(const Program& program, const Steps* steps);
  // Gives the inputs of a program their places on the device.
  void place_inputs(const Program& program);
  void set_input(const Program& program, std::size_t input, const std::byte* data);
  // Bytes of the state and all inputs, as they lie side by side.
  std::size_t bytes_to_send(const Program& program) const;
  std::size_t place_of_input(std::size_t input) const {
    return static_cast<std::size_t>(inputs_[input] - inputs_there_.data());
  }
  // Sends state and inputs to the device as one copy, without a wait.
  void send(const Program& program, const std::vector<const std::byte*>& inputs,
            const RunState& state);
  void bind(const Program& program, const std::vector<const std::byte*>& inputs,
            const RunState& state);
  // What ops see of a run on the whole batch, with the memory of a worker.
  Frame frame(const Program& program, std::size_t worker) const;
  void launch_program(const Program& program);
  void launch_on_device(const Program& program, const Steps* steps);
  void launch_alone(const Program& program, const Program::Stage& stage);
  void run_rows(const Program& program, const Program::Stage& stage);
  void run_whole(const Program& program, const Program::Stage& stage);
  void add_slices(const Program& program, const Program::Stage& stage);
  const std::byte* base_of(const Operand& operand) const {
    return bases_.front()[static_cast<std::size_t>(operand.base)];
  }

  // From the first element of an output to its last; what it takes among others.
  std::size_t bytes_of(const Program& program, std::size_t index) const;
  std::size_t room_for(const Program& program, std::size_t index) const;
  // Copies of a device's outputs in host memory, one behind the other; null where there is nothing
  // to copy, or too much for page-locked memory.
  const std::byte* fetch_together(const Program& program, std::span<const int> outputs) const;
  // Adds up what is still in slices.
  const std::byte* fetch(std::size_t index, const std::byte* from, std::size_t bytes,
                         const Operand& operand) const;

  Device device_;
  const DeviceAccess& access_;
  bool on_device_;
  std::shared_ptr<void> native_stream_;
  kernels::Stream stream_;
  Buffer inputs_there_;             // of a device: the state, and the inputs behind it
  std::vector<std::byte*> inputs_;  // where each is there; null where the program reads none
  Staging staging_;
  PinnedBlock* staged_block_ = nullptr;  // of the inputs that were staged and not sent
  std::uint64_t staged_program_ = 0;
  std::vector<std::byte*> staged_;                       // places in it
  mutable std::vector<std::vector<std::byte>> fetched_;  // copies of outputs
  mutable PinnedBlock fetched_together_;
  Buffer arena_;
  std::vector<Buffer> tiles_;  // one a worker
  std::vector<Buffer> scratches_;
  std::vector<std::vector<std::byte*>> bases_;  // one a worker
  std::uint64_t bound_ = 0;                     // id of the program
  std::uint64_t bound_key_ = 0;                 // of the Steps
  mutable RunState state_here_;                 // on the CPU
  // Both are valid as long as no memory has moved.
  Recordings recordings_;
  RowTables row_tables_;
};

}  // namespace braid
