#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/core/device_access.hpp"
#include "engine/graph/run.hpp"
#include "engine/runtime/program.hpp"
#include "engine/runtime/steps.hpp"
#include "kernels/row_program.hpp"

namespace braid {

// On a device: the steps of the row programs that joined stages are, one table a launch. A table
// holds the addresses of its operands, so it is good for as long as no memory has moved.
class RowTables {
 public:
  explicit RowTables(Device device) : device_(device), access_(access_to(device)) {}

  // Makes those of a program that are not there yet. `run` is what ops see of a run on the whole
  // batch; `inputs` are where `steps` fills them, if there are steps. Throws std::bad_alloc, for
  // want of memory or as there are many tables already.
  void make(const Program& program, const Steps* steps, const Frame& run,
            const std::vector<std::byte*>& inputs);
  // The launch of a joined stage, and of the stage that closes it.
  const kernels::RowProgram& launch_of(const Program& program, std::size_t stage,
                                       const Steps* steps) const;

  void clear() { tables_.clear(); }

 private:
  struct Table {
    std::uint64_t program;
    std::uint64_t key;  // of the Steps that share the launch; 0: none do
    std::size_t stage;
    std::shared_ptr<std::byte[]> steps;
    kernels::RowProgram launched;
  };

  const Table* find(const Program& program, std::size_t stage, std::uint64_t key) const;
  // `sharing` are steps that share the launch.
  Table made(const Program& program, std::size_t stage, const Steps* sharing, const Frame& run,
             const std::vector<std::byte*>& inputs) const;

  Device device_;
  const DeviceAccess& access_;
  std::vector<Table> tables_;
};

}  // namespace braid
