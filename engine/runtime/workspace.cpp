#include "engine/runtime/workspace.hpp"

#include <algorithm>
#include <atomic>
#include <new>
#include <stdexcept>
#include <utility>

#include "engine/core/environment.hpp"
#include "engine/runtime/memory_request.hpp"
#include "engine/runtime/parallel.hpp"
#include "kernels/row_program.hpp"

namespace braid {

namespace {

static_assert(sizeof(RunState) <= kStateBytes);
// Of outputs that are read together: to copy more takes longer than a wait for each.
constexpr std::size_t kMostBytesTogether = std::size_t{1} << 20;

kernels::Stream stream_on(Device device, void* native) {
  switch (device.kind()) {
    case Device::Kind::cpu: return {};
    case Device::Kind::cuda: return {kernels::Backend::cuda, native};
    case Device::Kind::emulated: return {kernels::Backend::emulated, native};
  }
  return {};
}

}  // namespace

std::uint64_t new_launch_key() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

std::byte* Workspace::Buffer::reserve(Workspace& owner, std::int64_t bytes) {
  if (bytes > capacity || storage == nullptr) {
    owner.recordings_.clear();  // they hold addresses
    owner.row_tables_.clear();
    storage.reset();
    capacity = 0;
    storage = try_to_allocate_on(owner.device_, static_cast<std::size_t>(bytes));
    if (storage == nullptr) throw std::bad_alloc();
    capacity = bytes;
  }
  return storage.get();
}

Workspace::Workspace(Device device)
    : device_(device),
      access_(access_to(device)),
      on_device_(device != Device::cpu()),
      native_stream_(make_stream(access_)),
      staging_(device, "the inputs of a batch"),
      fetched_together_(device, "the outputs of a batch"),
      recordings_(access_, native_stream_.get(),
                  access_.can_record() && !environment("BRAID_NO_GRAPH")),
      row_tables_(device) {
  stream_ = stream_on(device, native_stream_.get());
}

std::size_t Workspace::bytes_of(const Program& program, std::size_t index) const {
  const auto matrix = output_there<std::byte>(program, index);
  if (matrix.rows == 0) return 0;
  const auto elements =
      static_cast<std::size_t>((matrix.rows - 1) * matrix.stride + matrix.columns);
  return elements * size_of(program.output_infos()[index].dtype);
}

std::size_t Workspace::room_for(const Program& program, std::size_t index) const {
  constexpr std::size_t kAlignment = 16;
  return (bytes_of(program, index) + kAlignment - 1) / kAlignment * kAlignment;
}

const std::byte* Workspace::fetch_together(const Program& program,
                                           std::span<const int> outputs) const {
  if (!on_device_) return nullptr;
  std::size_t bytes = 0;
  for (const int output : outputs) bytes += room_for(program, static_cast<std::size_t>(output));
  if (bytes == 0 || bytes > kMostBytesTogether) return nullptr;
  fetched_together_.take(bytes);
  std::size_t place = 0;
  for (const int output : outputs) {
    const auto index = static_cast<std::size_t>(output);
    fetched_together_.start_download(place, output_there<std::byte>(program, index).data,
                                     bytes_of(program, index), stream_.native);
    place += room_for(program, index);
  }
  fetched_together_.wait();
  return fetched_together_.data();
}

const std::byte* Workspace::fetch(std::size_t index, const std::byte* from, std::size_t bytes,
                                  const Operand& operand) const {
  if (fetched_.size() <= index) fetched_.resize(index + 1);
  const auto further = static_cast<std::size_t>((operand.slices - 1) * operand.slice_bytes);
  std::vector<std::byte>& copy = fetched_[index];
  if (copy.size() < further + bytes) copy.resize(further + bytes);
  access_.download(copy.data(), from, further + bytes, stream_.native);
  auto* const sums = reinterpret_cast<float*>(copy.data());
  for (std::int64_t slice = 1; slice < operand.slices; ++slice) {
    const auto* more = reinterpret_cast<const float*>(copy.data() + slice * operand.slice_bytes);
    for (std::size_t i = 0; i < bytes / sizeof(float); ++i) sums[i] += more[i];
  }
  return copy.data();
}

void Workspace::fill(std::byte pattern) {
  const auto overwrite = [&](Buffer& buffer) {
    access_.fill(buffer.data(), pattern, static_cast<std::size_t>(buffer.capacity), stream_.native);
  };
  overwrite(arena_);
  for (Buffer& buffer : tiles_) overwrite(buffer);
  for (Buffer& buffer : scratches_) overwrite(buffer);
}

void Workspace::take_memory(const Program& program, const Steps* steps) {
  bound_ = 0;
  const auto workers = static_cast<std::size_t>(on_device_ ? 1 : thread_count());
  std::byte* arena = arena_.reserve(*this, program.arena_bytes());
  tiles_.resize(workers);
  scratches_.resize(workers);
  bases_.resize(workers);
  for (std::size_t worker = 0; worker < workers; ++worker) {
    std::vector<std::byte*>& bases = bases_[worker];
    bases.assign(Program::kFirstExternal + program.externals().size(), nullptr);
    bases[Program::kArena] = arena;
    bases[Program::kTile] = on_device_ ? kernels::place_in_shared(0, false)
                                       : tiles_[worker].reserve(*this, program.tile_bytes());
    scratches_[worker].reserve(*this, program.scratch_bytes());
    for (std::size_t i = 0; i < program.externals().size(); ++i) {
      // Ops only read externals; the table is shared with what they write.
      bases[Program::kFirstExternal + i] = const_cast<std::byte*>(program.externals()[i].fixed);
    }
  }
  if (on_device_) {
    place_inputs(program);
    const Frame run = frame(program, 0);
    try {
      row_tables_.make(program, steps, run, inputs_);
    } catch (const std::bad_alloc&) {
      // Those of other programs can be made again.
      recordings_.clear();
      row_tables_.clear();
      row_tables_.make(program, steps, run, inputs_);
    }
  }
  bound_ = program.id();
}

void Workspace::reserve(const Program& program, const Steps* steps) {
  const std::uint64_t key = steps == nullptr ? 0 : steps->key;
  if (bound_ == program.id() && bound_key_ == key) return;
  // Once more, as what other programs left may have been in the way; but steps find their state
  // where it was.
  if (takes_memory(program, steps) || (steps == nullptr && takes_memory(program, steps))) {
    bound_key_ = key;
    return;
  }
  throw not_enough_for(program, device_);
}

bool Workspace::takes_memory(const Program& program, const Steps* steps) {
  try {
    take_memory(program, steps);
    return true;
  } catch (const std::bad_alloc&) {
    recordings_.clear();
    row_tables_.clear();
    inputs_there_ = {};
    arena_ = {};
    tiles_.clear();
    scratches_.clear();
    return false;
  }
}

void Workspace::set_input(const Program& program, std::size_t input, const std::byte* data) {
  const auto external = static_cast<std::size_t>(program.input_externals()[input]);
  for (auto& bases : bases_)
    bases[Program::kFirstExternal + external] = const_cast<std::byte*>(data);
}

void Workspace::place_inputs(const Program& program) {
  std::vector<std::int64_t> places(program.input_externals().size());
  std::int64_t end = kStateBytes;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (program.input_externals()[i] < 0) continue;
    places[i] = end;
    end += input_room(program, i);
  }
  std::byte* const there = inputs_there_.reserve(*this, end);
  inputs_.assign(places.size(), nullptr);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (program.input_externals()[i] < 0) continue;
    inputs_[i] = there + places[i];
    set_input(program, i, inputs_[i]);
  }
}

void Workspace::bind(const Program& program, const std::vector<const std::byte*>& inputs,
                     const RunState& state) {
  reserve(program);
  if (on_device_) return send(program, inputs, state);
  for (std::size_t i = 0; i < program.input_externals().size(); ++i) {
    if (program.input_externals()[i] >= 0) set_input(program, i, inputs[i]);
  }
  state_here_ = state;
}

std::size_t Workspace::bytes_to_send(const Program& program) const {
  std::size_t end = sizeof(RunState);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i] != nullptr)
      end = place_of_input(i) + static_cast<std::size_t>(input_bytes(program, i));
  }
  return end;
}

const std::vector<std::byte*>& Workspace::stage(const Program& program) {
  await_streams_but(stream_.native);
  reserve(program);
  staged_block_ = nullptr;  // what was staged before is given up
  PinnedBlock& block = staging_.next(bytes_to_send(program));
  staged_.assign(inputs_.size(), nullptr);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i] != nullptr) staged_[i] = block.data() + place_of_input(i);
  }
  staged_block_ = &block;
  staged_program_ = program.id();
  return staged_;
}

void Workspace::send(const Program& program, const std::vector<const std::byte*>& inputs,
                     const RunState& state) {
  const std::size_t bytes = bytes_to_send(program);
  PinnedBlock* block = std::exchange(staged_block_, nullptr);
  if (block == nullptr || staged_program_ != program.id()) block = &staging_.next(bytes);
  block->put(0, &state, sizeof state);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i] == nullptr) continue;
    const std::size_t place = place_of_input(i);
    if (inputs[i] != block->data() + place)
      block->put(place, inputs[i], static_cast<std::size_t>(input_bytes(program, i)));
  }
  block->start_upload(0, inputs_there_.data(), bytes, stream_.native);
}

void Workspace::run(const Program& program, const std::vector<const std::byte*>& inputs,
                    const RunState& state, const Followers& followers) {
  if (on_device_) await_streams_but(stream_.native);
  bind(program, inputs, state);
  try {
    recordings_.run({program.id(), followers.key, 1}, [&] {
      launch_program(program);
      if (followers.launch) followers.launch();
    });
  } catch (...) {
    // Nobody will ask for outputs, and wait.
    if (on_device_) leave_unawaited(access_, native_stream_);
    throw;
  }
}

void Workspace::run_steps(const Program& program, const Steps& steps) {
  await_streams_but(stream_.native);
  const RunState* const before = state();
  reserve(program, &steps);
  if (before != nullptr && state() != before)
    throw std::logic_error("the state of steps has moved");
  leave_unawaited(access_, native_stream_);
  recordings_.run({program.id(), steps.key, steps.count}, [&] {
    for (std::int64_t step = 0; step < steps.count; ++step) {
      launch_on_device(program, &steps);
      if (steps.update) steps.update();
    }
  });
}

void Workspace::leave_launches() const {
  await_streams_but(stream_.native);
  leave_unawaited(access_, native_stream_);
}

Frame Workspace::frame(const Program& program, std::size_t worker) const {
  return {.bases = bases_[worker].data(),
          .rows = program.batch(),
          .batch = program.batch(),
          .scratch = scratches_[worker].data(),
          .scratch_bytes = program.scratch_bytes(),
          .random_state = &state()->random,
          .precision = program.precision(),
          .stream = stream_};
}

void Workspace::launch_program(const Program& program) {
  if (on_device_) return launch_on_device(program, nullptr);
  for (const Program::Stage& stage : program.stages()) {
    if (stage.rows) {
      run_rows(program, stage);
      add_slices(program, stage);
    } else {
      run_whole(program, stage);
    }
  }
}

void Workspace::launch_on_device(const Program& program, const Steps* steps) {
  if (steps != nullptr && !program.begins_with_row_program())
    steps->fill(stream_, inputs_, 0, program.batch());
  for (std::size_t number = 0; number < program.stages().size(); ++number) {
    const Program::Stage& stage = program.stages()[number];
    if (program.closes_row_program(number)) continue;
    if (stage.joined) {
      kernels::launch(stream_, row_tables_.launch_of(program, number, steps));
    } else {
      launch_alone(program, stage);
    }
  }
  if (steps != nullptr && !program.ending_stage(steps->ended_outputs)) steps->end(stream_);
}

void Workspace::launch_alone(const Program& program, const Program::Stage& stage) {
  for (const Program::SliceSum& sum : stage.sums)
    kernels::launch(stream_, program.addition(sum, arena_.data()));
  const Frame whole = frame(program, 0);
  for (const Program::BoundOp& bound : stage.ops)
    bound.op->run(Run(whole, bound.inputs, bound.outputs));
}

void Workspace::run_rows(const Program& program, const Program::Stage& stage) {
  parallel_for(program.slices(), [&](std::int64_t slice, int worker) {
    const std::int64_t begin = program.slice_begin(slice);
    const std::int64_t end = program.slice_begin(slice + 1);
    Frame tile = frame(program, static_cast<std::size_t>(worker));
    tile.slice = slice;
    if (program.slices() == 1) tile.others = other_cores();
    // An empty batch still runs once, so that sums over no rows become 0.
    std::int64_t row = begin;
    do {
      tile.first_row = row;
      tile.rows = std::min(program.tile_rows(), end - row);
      tile.accumulate = row != begin;
      for (const Program::BoundOp& bound : stage.ops)
        bound.op->run(Run(tile, bound.inputs, bound.outputs));
      row += program.tile_rows();
    } while (row < end);
  });
}

void Workspace::run_whole(const Program& program, const Program::Stage& stage) {
  for (const Program::BoundOp& bound : stage.ops) {
    parallel_for(bound.parts, [&](std::int64_t part, int worker) {
      Frame whole = frame(program, static_cast<std::size_t>(worker));
      whole.part = part;
      whole.parts = bound.parts;
      bound.op->run(Run(whole, bound.inputs, bound.outputs));
    });
  }
}

void Workspace::add_slices(const Program& program, const Program::Stage& stage) {
  if (program.slices() == 1 || stage.sums.empty()) return;
  const auto add = [&](std::int64_t number, int) {
    const Program::SliceSum& sum = stage.sums[static_cast<std::size_t>(number)];
    kernels::launch(stream_, program.addition(sum, arena_.data()));
  };
  constexpr std::int64_t kWorthAnotherCore = 65536;
  std::int64_t floats = 0;
  for (const Program::SliceSum& sum : stage.sums) floats += sum.count * program.slices();
  const auto count = static_cast<std::int64_t>(stage.sums.size());
  if (floats < kWorthAnotherCore) {
    for (std::int64_t number = 0; number < count; ++number) add(number, 0);
  } else {
    parallel_for(count, add);
  }
}

}  // namespace braid
