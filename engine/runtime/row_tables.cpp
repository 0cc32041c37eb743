#include "engine/runtime/row_tables.hpp"

#include <algorithm>
#include <climits>
#include <new>
#include <stdexcept>

namespace braid {
namespace {

constexpr std::size_t kMostTables = 1024;

// What fills the inputs can be the first steps of the program's first launch; what ends a step can
// be the last ones of another.
bool fills_in_stage(const Program& program, std::size_t stage, const Steps* steps) {
  return steps != nullptr && stage == 0 && program.begins_with_row_program();
}
bool ends_in_stage(const Program& program, std::size_t stage, const Steps* steps) {
  return steps != nullptr && program.ending_stage(steps->ended_outputs) == stage;
}
bool is_closed(const Program& program, std::size_t stage) {
  return stage + 1 < program.stages().size() && program.closes_row_program(stage + 1);
}
// The steps, if they share the launch of the stage; else none.
const Steps* sharing(const Program& program, std::size_t stage, const Steps* steps) {
  const bool shares = fills_in_stage(program, stage, steps) ||
                      ends_in_stage(program, stage, steps) ||
                      (is_closed(program, stage) && ends_in_stage(program, stage + 1, steps));
  return shares ? steps : nullptr;
}

std::uint64_t key_of(const Steps* steps) { return steps == nullptr ? 0 : steps->key; }

// Takes down the steps of a joined stage.
void collect(const Program& program, std::size_t number, const Steps* steps, const Frame& run,
             const std::vector<std::byte*>& inputs, kernels::RowSteps& collector) {
  const Program::Stage& stage = program.stages()[number];
  kernels::Stream collecting = run.stream;
  collecting.collector = &collector;
  // What fills the inputs, or adds up slices, comes first, what ends a step comes last.
  constexpr int kFirst = -1;
  for (std::int64_t slice = 0; slice < program.blocks(stage); ++slice) {
    const std::int64_t first = stage.rows ? program.slice_begin(slice) : 0;
    const std::int64_t end = stage.rows ? program.slice_begin(slice + 1) : program.batch();
    for (const Program::SliceSum& sum : stage.sums) {
      collector.begin_wave(kFirst);
      kernels::launch(collecting, program.addition(sum, run.bases[Program::kArena]));
    }
    collector.begin_wave(kFirst);
    if (fills_in_stage(program, number, steps)) steps->fill(collecting, inputs, first, end - first);
    // Row programs have no scratch memory, and the precision of float32.
    const Frame frame{.bases = run.bases,
                      .first_row = first,
                      .rows = end - first,
                      .batch = program.batch(),
                      .slice = slice,
                      .random_state = run.random_state,
                      .stream = collecting};
    for (const Program::BoundOp& bound : stage.ops) {
      collector.begin_wave(bound.wave);
      bound.op->run(Run(frame, bound.inputs, bound.outputs));
    }
    collector.begin_wave(INT_MAX);
    if (ends_in_stage(program, number, steps)) steps->end(collecting);
    collector.end_list();
  }
}

// The steps of a launch, and how many are of the blocks; the closing ones stand behind those.
struct TakenDown {
  kernels::RowSteps steps;
  std::int64_t of_blocks = 0;
};

TakenDown take_down(const Program& program, std::size_t stage, const Steps* sharing,
                    const Frame& run, const std::vector<std::byte*>& inputs) {
  TakenDown taken;
  collect(program, stage, sharing, run, inputs, taken.steps);
  taken.of_blocks = static_cast<std::int64_t>(taken.steps.steps().size());
  if (taken.of_blocks % program.blocks(program.stages()[stage]) != 0)
    throw std::logic_error("slices of a row program differ in their steps");
  if (is_closed(program, stage)) collect(program, stage + 1, sharing, run, inputs, taken.steps);
  return taken;
}

}  // namespace

const RowTables::Table* RowTables::find(const Program& program, std::size_t stage,
                                        std::uint64_t key) const {
  const auto found = std::find_if(tables_.begin(), tables_.end(), [&](const Table& table) {
    return table.program == program.id() && table.stage == stage && table.key == key;
  });
  return found == tables_.end() ? nullptr : &*found;
}

const kernels::RowProgram& RowTables::launch_of(const Program& program, std::size_t stage,
                                                const Steps* steps) const {
  return find(program, stage, key_of(sharing(program, stage, steps)))->launched;
}

RowTables::Table RowTables::made(const Program& program, std::size_t stage, const Steps* sharing,
                                 const Frame& run, const std::vector<std::byte*>& inputs) const {
  TakenDown wanted = take_down(program, stage, sharing, run, inputs);
  if (program.tile_bytes() > 0) {
    std::vector<std::byte*> bases(run.bases,
                                  run.bases + Program::kFirstExternal + program.externals().size());
    bases[Program::kTile] = kernels::place_in_shared(0, true);
    Frame moved = run;
    moved.bases = bases.data();
    wanted.steps.find_shared(take_down(program, stage, sharing, moved, inputs).steps);
  }
  const std::vector<kernels::RowStep>& steps = wanted.steps.steps();

  // Behind the steps: how many blocks have ended.
  const std::size_t bytes = steps.size() * sizeof(kernels::RowStep);
  constexpr unsigned kNone = 0;
  auto memory = try_to_allocate_on(device_, bytes + sizeof(kNone));
  if (memory == nullptr) throw std::bad_alloc();
  access_.upload(memory.get(), reinterpret_cast<const std::byte*>(steps.data()), bytes,
                 run.stream.native);
  access_.upload(memory.get() + bytes, reinterpret_cast<const std::byte*>(&kNone), sizeof(kNone),
                 run.stream.native);
  const std::int64_t blocks = program.blocks(program.stages()[stage]);
  const kernels::RowProgram launched{
      .steps = reinterpret_cast<const kernels::RowStep*>(memory.get()),
      .blocks = blocks,
      .steps_of_block = wanted.of_blocks / blocks,
      .closing_steps = static_cast<std::int64_t>(steps.size()) - wanted.of_blocks,
      .shared_bytes = program.tile_bytes(),
      .ended = reinterpret_cast<unsigned*>(memory.get() + bytes)};
  return {program.id(), key_of(sharing), stage, std::move(memory), launched};
}

void RowTables::make(const Program& program, const Steps* steps, const Frame& run,
                     const std::vector<std::byte*>& inputs) {
  if (tables_.size() >= kMostTables) throw std::bad_alloc();
  for (std::size_t stage = 0; stage < program.stages().size(); ++stage) {
    if (!program.stages()[stage].joined || program.closes_row_program(stage)) continue;
    const Steps* const sharers = sharing(program, stage, steps);
    if (find(program, stage, key_of(sharers)) == nullptr)
      tables_.push_back(made(program, stage, sharers, run, inputs));
  }
}

}  // namespace braid
