#include "engine/runtime/workspace.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <stdexcept>

#include "engine/core/error.hpp"
#include "engine/runtime/parallel.hpp"
#include "kernels/optimizer.hpp"

namespace braid {

namespace {

// Enough for batches of every length; each holds a graph of the driver's.
constexpr std::size_t kMostRecordings = 256;
constexpr std::size_t kMostRowTables = 1024;
constexpr std::int64_t kInputAlignment = 256;  // as separate allocations have it

kernels::Stream stream_on(Device device, void* native) {
  switch (device.kind()) {
    case Device::Kind::cpu: return {};
    case Device::Kind::cuda: return {kernels::Backend::cuda, native};
    case Device::Kind::emulated: return {kernels::Backend::emulated, native};
  }
  return {};
}

std::int64_t input_bytes(const Program& program, std::size_t input) {
  const auto external = static_cast<std::size_t>(program.input_externals()[input]);
  return program.externals()[external].bytes;
}

// What fills the inputs can be the first steps of the program's first launch.
bool fills_in_first_stage(const Program& program) {
  return !program.stages().empty() && program.stages().front().joined &&
         program.stages().front().rows;
}
// What ends a step can be the last steps of a launch.
bool ends_in_stage(const Program& program, std::size_t stage, const Steps* steps) {
  return steps != nullptr && program.ending_stage(steps->ended_outputs) == stage;
}
bool shares_launch(const Program& program, std::size_t stage, const Steps* steps) {
  if (steps == nullptr) return false;
  if (stage == 0 && fills_in_first_stage(program)) return true;
  const std::size_t next = stage + 1;
  return ends_in_stage(program, stage, steps) ||
         (next < program.stages().size() && program.closes_row_program(next) &&
          ends_in_stage(program, next, steps));
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
      records_(access_.can_record() && std::getenv("BRAID_NO_GRAPH") == nullptr),
      native_stream_(make_stream(access_)),
      staging_(device),
      random_state_(device, 1, "the state of dropout") {
  stream_ = stream_on(device, native_stream_.get());
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

std::int64_t Workspace::bytes() const {
  std::int64_t total = arena_.capacity;
  for (const Buffer& buffer : tiles_) total += buffer.capacity;
  for (const Buffer& buffer : scratches_) total += buffer.capacity;
  for (const RowTable& table : row_tables_) total += table.bytes;
  return total;
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
    bases[Program::kTile] = tiles_[worker].reserve(*this, program.tile_bytes());
    scratches_[worker].reserve(*this, program.scratch_bytes());
    for (std::size_t i = 0; i < program.externals().size(); ++i) {
      // Ops only read externals; the table is shared with what they write.
      bases[Program::kFirstExternal + i] = const_cast<std::byte*>(program.externals()[i].fixed);
    }
  }
  if (on_device_) {
    place_inputs(program);
    try {
      if (row_tables_.size() >= kMostRowTables) throw std::bad_alloc();
      make_row_tables(program, steps);
    } catch (const std::bad_alloc&) {
      // Those of other programs can be made again.
      recordings_.clear();
      row_tables_.clear();
      make_row_tables(program, steps);
    }
  }
  bound_ = program.id();
}

void Workspace::reserve(const Program& program, const Steps* steps) {
  const std::uint64_t key = steps == nullptr ? 0 : steps->key;
  if (bound_ == program.id() && bound_key_ == key) return;
  try {
    take_memory(program, steps);
    bound_key_ = key;
  } catch (const std::bad_alloc&) {
    const std::int64_t workers = on_device_ ? 1 : thread_count();
    const std::int64_t asked =
        program.arena_bytes() + workers * (program.tile_bytes() + program.scratch_bytes()) +
        program.row_steps() * static_cast<std::int64_t>(sizeof(kernels::RowStep));
    throw OutOfMemory("a batch of " + std::to_string(program.batch()) + " rows asks for " +
                      std::to_string(asked) + " bytes, which could not be had; " +
                      std::to_string(access_.free_bytes()) +
                      " bytes are free. The largest parts: " + largest_values(program));
  }
}

void Workspace::set_input(const Program& program, std::size_t input, const std::byte* data) {
  const auto external = static_cast<std::size_t>(program.input_externals()[input]);
  for (auto& bases : bases_)
    bases[Program::kFirstExternal + external] = const_cast<std::byte*>(data);
}

void Workspace::place_inputs(const Program& program) {
  std::vector<std::int64_t> places(program.input_externals().size());
  std::int64_t end = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (program.input_externals()[i] < 0) continue;
    places[i] = end;
    end += (input_bytes(program, i) + kInputAlignment - 1) / kInputAlignment * kInputAlignment;
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
  *random_state_.data() = state;
}

void Workspace::send(const Program& program, const std::vector<const std::byte*>& inputs,
                     const RunState& state) {
  const auto offset = [&](std::size_t input) {
    return static_cast<std::size_t>(inputs_[input] - inputs_there_.data());
  };
  std::size_t end = 0;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i] != nullptr) end = offset(i) + static_cast<std::size_t>(input_bytes(program, i));
  }
  PinnedBlock& block = staging_.next(sizeof state + end);
  block.put(0, &state, sizeof state);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i] == nullptr) continue;
    block.put(sizeof state + offset(i), inputs[i],
              static_cast<std::size_t>(input_bytes(program, i)));
  }
  block.start_upload(0, reinterpret_cast<std::byte*>(random_state_.data()), sizeof state,
                     stream_.native);
  block.start_upload(sizeof state, inputs_there_.data(), end, stream_.native);
}

void Workspace::run(const Program& program, const std::vector<const std::byte*>& inputs,
                    const RunState& state, const Followers& followers) {
  if (on_device_) await_streams_but(stream_.native);
  bind(program, inputs, state);
  record_or_replay({program.id(), followers.key, 1, nullptr}, [&] {
    launch_program(program);
    if (followers.launch) followers.launch();
  });
}

void Workspace::run_steps(const Program& program, const Steps& steps) {
  await_streams_but(stream_.native);
  reserve(program, &steps);
  leave_unawaited(access_, native_stream_);
  record_or_replay({program.id(), steps.key, steps.count, nullptr}, [&] {
    for (std::int64_t step = 0; step < steps.count; ++step) {
      launch_on_device(program, &steps);
      if (steps.update) steps.update();
    }
  });
}

template <class Launch>
void Workspace::record_or_replay(const Recording& wanted, const Launch& launch) {
  if (!records_) return launch();
  auto found =
      std::find_if(recordings_.begin(), recordings_.end(), [&](const Recording& recording) {
        return recording.program == wanted.program && recording.key == wanted.key &&
               recording.steps == wanted.steps;
      });
  if (found == recordings_.end()) {
    launch();
    if (recordings_.size() == kMostRecordings) recordings_.erase(recordings_.begin());
    recordings_.push_back(wanted);
    return;
  }
  if (found->launches == nullptr) {
    access_.begin_recording(stream_.native);
    try {
      launch();
    } catch (...) {
      try {
        static_cast<void>(access_.end_recording(stream_.native));
      } catch (const DeviceError&) {
        // The first error says why.
      }
      throw;
    }
    found->launches = access_.end_recording(stream_.native);
  }
  access_.replay(found->launches.get(), stream_.native);
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
  if (steps != nullptr && !fills_in_first_stage(program))
    steps->fill(stream_, inputs_, 0, program.batch());
  for (std::size_t number = 0; number < program.stages().size(); ++number) {
    const Program::Stage& stage = program.stages()[number];
    if (program.closes_row_program(number)) continue;
    if (stage.joined) {
      const std::uint64_t key =
          steps != nullptr && shares_launch(program, number, steps) ? steps->key : 0;
      kernels::launch(stream_, find_row_table(program, number, key)->launched);
    } else {
      launch_alone(program, stage);
    }
  }
  if (steps != nullptr && !program.ending_stage(steps->ended_outputs)) steps->end(stream_);
}

void Workspace::launch_alone(const Program& program, const Program::Stage& stage) {
  for (const Program::SliceSum& sum : stage.sums)
    kernels::launch(stream_, addition(arena_.data(), program, sum));
  const Frame frame{.bases = bases_.front().data(),
                    .rows = program.batch(),
                    .batch = program.batch(),
                    .scratch = scratches_.front().data(),
                    .random_state = random_state_.data(),
                    .precision = program.precision(),
                    .stream = stream_};
  for (const Program::BoundOp& bound : stage.ops)
    bound.op->run(Run(frame, bound.inputs, bound.outputs));
}

const Workspace::RowTable* Workspace::find_row_table(const Program& program, std::size_t stage,
                                                     std::uint64_t key) const {
  const auto found =
      std::find_if(row_tables_.begin(), row_tables_.end(), [&](const RowTable& table) {
        return table.program == program.id() && table.stage == stage && table.key == key;
      });
  return found == row_tables_.end() ? nullptr : &*found;
}

void Workspace::collect_row_steps(const Program& program, std::size_t number, const Steps* steps,
                                  kernels::RowSteps& collector) const {
  const Program::Stage& stage = program.stages()[number];
  kernels::Stream collecting = stream_;
  collecting.collector = &collector;
  for (const Program::SliceSum& sum : stage.sums)
    kernels::launch(collecting, addition(arena_.data(), program, sum));
  for (std::int64_t slice = 0; slice < program.blocks(stage); ++slice) {
    const std::int64_t first = stage.rows ? program.slice_begin(slice) : 0;
    const std::int64_t end = stage.rows ? program.slice_begin(slice + 1) : program.batch();
    if (steps != nullptr && number == 0 && fills_in_first_stage(program))
      steps->fill(collecting, inputs_, first, end - first);
    const Frame frame{.bases = bases_.front().data(),
                      .first_row = first,
                      .rows = end - first,
                      .batch = program.batch(),
                      .slice = slice,
                      .random_state = random_state_.data(),
                      .stream = collecting};
    for (const Program::BoundOp& bound : stage.ops)
      bound.op->run(Run(frame, bound.inputs, bound.outputs));
  }
  if (ends_in_stage(program, number, steps)) steps->end(collecting);
}

void Workspace::make_row_table(const Program& program, std::size_t stage, const Steps* steps) {
  kernels::RowSteps wanted;
  const auto count = [&] { return static_cast<std::int64_t>(wanted.steps().size()); };
  collect_row_steps(program, stage, steps, wanted);
  const std::int64_t blocks = program.blocks(program.stages()[stage]);
  const std::int64_t of_blocks = count();
  if (of_blocks % blocks != 0)
    throw std::logic_error("slices of a row program differ in their steps");
  const bool closes = stage + 1 < program.stages().size() && program.closes_row_program(stage + 1);
  if (closes) collect_row_steps(program, stage + 1, steps, wanted);

  // Behind the steps: how many blocks have ended.
  const std::size_t bytes = wanted.steps().size() * sizeof(kernels::RowStep);
  constexpr unsigned kNone = 0;
  auto memory = try_to_allocate_on(device_, bytes + sizeof(kNone));
  if (memory == nullptr) throw std::bad_alloc();
  access_.upload(memory.get(), reinterpret_cast<const std::byte*>(wanted.steps().data()), bytes,
                 stream_.native);
  access_.upload(memory.get() + bytes, reinterpret_cast<const std::byte*>(&kNone), sizeof(kNone),
                 stream_.native);
  const kernels::RowProgram launched{
      .steps = reinterpret_cast<const kernels::RowStep*>(memory.get()),
      .blocks = blocks,
      .steps_of_block = of_blocks / blocks,
      .closing_steps = count() - of_blocks,
      .ended = reinterpret_cast<unsigned*>(memory.get() + bytes)};
  row_tables_.push_back({program.id(), steps == nullptr ? 0 : steps->key, stage,
                         static_cast<std::int64_t>(bytes), std::move(memory), launched});
}

void Workspace::make_row_tables(const Program& program, const Steps* steps) {
  for (std::size_t stage = 0; stage < program.stages().size(); ++stage) {
    if (!program.stages()[stage].joined || program.closes_row_program(stage)) continue;
    const Steps* const sharing = shares_launch(program, stage, steps) ? steps : nullptr;
    if (find_row_table(program, stage, sharing == nullptr ? 0 : sharing->key) == nullptr)
      make_row_table(program, stage, sharing);
  }
}

void Workspace::run_rows(const Program& program, const Program::Stage& stage) {
  const kernels::RandomState* random_state = random_state_.data();
  parallel_for(program.slices(), [&](std::int64_t slice, int worker) {
    const auto w = static_cast<std::size_t>(worker);
    const std::int64_t begin = program.slice_begin(slice);
    const std::int64_t end = program.slice_begin(slice + 1);
    Frame frame{.bases = bases_[w].data(),
                .batch = program.batch(),
                .slice = slice,
                .scratch = scratches_[w].data(),
                .random_state = random_state,
                .precision = program.precision(),
                .stream = stream_};
    // An empty batch still runs once, so that sums over no rows become 0.
    std::int64_t row = begin;
    do {
      frame.first_row = row;
      frame.rows = std::min(program.tile_rows(), end - row);
      frame.accumulate = row != begin;
      for (const Program::BoundOp& bound : stage.ops)
        bound.op->run(Run(frame, bound.inputs, bound.outputs));
      row += program.tile_rows();
    } while (row < end);
  });
}

void Workspace::run_whole(const Program& program, const Program::Stage& stage) {
  const kernels::RandomState* random_state = random_state_.data();
  for (const Program::BoundOp& bound : stage.ops) {
    parallel_for(bound.parts, [&](std::int64_t part, int worker) {
      const auto w = static_cast<std::size_t>(worker);
      const Frame frame{.bases = bases_[w].data(),
                        .rows = program.batch(),
                        .batch = program.batch(),
                        .part = part,
                        .parts = bound.parts,
                        .scratch = scratches_[w].data(),
                        .random_state = random_state,
                        .precision = program.precision(),
                        .stream = stream_};
      bound.op->run(Run(frame, bound.inputs, bound.outputs));
    });
  }
}

kernels::SumSlices Workspace::addition(std::byte* arena, const Program& program,
                                       const Program::SliceSum& sum) {
  auto* const first = reinterpret_cast<float*>(arena + sum.offset);
  return {.in = first,
          .slices = program.slices(),
          .slice_stride = sum.stride / static_cast<std::int64_t>(sizeof(float)),
          .out = first,
          .count = sum.count};
}

void Workspace::add_slices(const Program& program, const Program::Stage& stage) {
  if (program.slices() == 1 || stage.sums.empty()) return;
  const auto add = [&](std::int64_t number, int) {
    const Program::SliceSum& sum = stage.sums[static_cast<std::size_t>(number)];
    kernels::launch(stream_, addition(arena_.data(), program, sum));
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
