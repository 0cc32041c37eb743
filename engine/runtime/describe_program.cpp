#include "engine/runtime/program.hpp"

namespace braid {
namespace {

// What a node does, and for which layer.
std::string in_words(const GraphNode& node) {
  return std::string(node.op->kind()) + (node.layer.empty() ? "" : " (" + node.layer + ")");
}

std::string describe_sums(const Program& program, const Program::Stage& stage) {
  std::string text;
  for (const Program::SliceSum& sum : stage.sums) {
    text += "    sum of " + std::to_string(program.slices()) + " slices at ";
    text += std::to_string(sum.offset) + ", " + std::to_string(sum.count) + " elements\n";
  }
  return text;
}

}  // namespace

std::string describe_plan(const Program& program) {
  std::string text = "plan for batch " + std::to_string(program.batch()) + ": arena " +
                     std::to_string(program.arena_bytes()) + " bytes, tile " +
                     std::to_string(program.tile_bytes()) + " bytes\n";
  for (const Program::Placement& placed : program.placements()) {
    text += "  " + describe(program.graph(), placed.value) + " " +
            maker_in_words(program, placed.value) + ": " + std::to_string(placed.bytes) +
            " bytes of the " + (placed.tile ? "tile" : "arena") + " at " +
            std::to_string(placed.offset) + ", stages " + std::to_string(placed.first) + " .. " +
            (placed.last == INT32_MAX ? "end" : std::to_string(placed.last)) + "\n";
  }
  return text;
}

std::string describe(const Program& program) {
  std::string text = "program for batch " + std::to_string(program.batch()) + ": " +
                     std::to_string(program.slices()) + " slices, tiles of " +
                     std::to_string(program.tile_rows()) + " rows, arena " +
                     std::to_string(program.arena_bytes()) + " bytes, tile " +
                     std::to_string(program.tile_bytes()) + " bytes\n";
  for (std::size_t number = 0; number < program.stages().size(); ++number) {
    const Program::Stage& stage = program.stages()[number];
    text += stage.rows ? "  row by row" : "  whole batch";
    if (program.closes_row_program(number)) {
      text += ", the last block";
    } else if (stage.joined) {
      text += stage.rows ? ", one launch, a block a slice" : ", one block";
    }
    text += "\n";
    // Sums over rows come first where they are added up on the way.
    if (!stage.rows) text += describe_sums(program, stage);
    for (const Program::BoundOp& op : stage.ops) {
      text += "    " + std::string(op.op->kind());
      if (!op.op->detail().empty()) text += " (" + op.op->detail() + ")";
      if (!op.layer.empty()) text += " of " + op.layer;
      if (op.parts > 1) text += " in " + std::to_string(op.parts) + " parts";
      for (const Operand& out : op.outputs) {
        if (out.base < 0) continue;
        const char* where = out.base == Program::kTile ? "tile"
                            : out.slice_bytes > 0      ? "slice sum"
                                                       : "arena";
        text += " -> " + to_string(out.shape) + " " + where + " at " + std::to_string(out.offset);
        if (out.stride != out.columns)
          text += ", every " + std::to_string(out.stride) + " elements";
      }
      text += "\n";
    }
    if (stage.rows) text += describe_sums(program, stage);
  }
  return text;
}

std::string maker_in_words(const Program& program, Value value) {
  const GraphNode* node = program.graph().producer(value);
  return node == nullptr ? describe(program.graph(), value) : in_words(*node);
}

std::string scratch_in_words(const Program& program) {
  const GraphNode* node = program.scratch_node();
  return "scratch memory" + (node == nullptr ? "" : " of " + in_words(*node));
}

}  // namespace braid
