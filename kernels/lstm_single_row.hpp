#pragma once
#include "kernels/lstm_cell.hpp"
#include "kernels/lstm_layout.hpp"

// The step of a row that is alone. Its product with the recurrent kernel is as fast as the kernel
// can be read, so the kernel is copied once into panels that are read from front to back: the four
// gates of two vectors of units side by side. What a panel gives stays in registers and goes
// through the cell there, while the next panel is on its way; and every second step walks the
// panels backwards, as those read last still lie in the first-level cache. Sums run in the order of
// k, as in every other product: a row's bits do not depend on whether it is alone.
namespace braid::kernels {
namespace {

constexpr std::int64_t kUnitsOfPanel = 2 * kLanes;
// With fewer steps the copy would take longer than it saves.
constexpr std::int64_t kStepsWorthPanels = 8;

inline bool is_worth_gate_panels(const LstmShape& shape, std::int64_t steps) {
  return shape.rows == 1 && shape.units % kUnitsOfPanel == 0 && steps >= kStepsWorthPanels;
}

// [H / kUnitsOfPanel][H][4][kUnitsOfPanel]
inline const float* make_gate_panels(Matrix<const float> recurrent, float* out) {
  const std::int64_t units = recurrent.rows;
  float* to = out;
  for (std::int64_t u = 0; u < units; u += kUnitsOfPanel) {
    for (std::int64_t k = 0; k < units; ++k) {
      for (int gate = 0; gate < 4; ++gate, to += kUnitsOfPanel) {
        std::memcpy(to, recurrent.row(k) + gate * units + u, sizeof(float) * kUnitsOfPanel);
      }
    }
  }
  return out;
}

// cell.h must not be `before`, the row's h before the step.
inline void single_row_step(const float* panels, const float* before, const CellForward& cell,
                            bool backwards) {
  const std::int64_t units = cell.units;
  const std::int64_t count = units / kUnitsOfPanel;
  for (std::int64_t place = 0; place < count; ++place) {
    const std::int64_t panel = backwards ? count - 1 - place : place;
    const std::int64_t u = panel * kUnitsOfPanel;
    Vector z[4][2];
    for (int gate = 0; gate < 4; ++gate) {
      for (int v = 0; v < 2; ++v) z[gate][v] = load(cell.gates + gate * units + u + v * kLanes);
    }
    const float* weights = panels + panel * units * 4 * kUnitsOfPanel;
    for (std::int64_t k = 0; k < units; ++k) {
      const float factor = before[k];
      for (int gate = 0; gate < 4; ++gate) {
        for (int v = 0; v < 2; ++v, weights += kLanes) z[gate][v] += factor * load(weights);
      }
    }
    for (int v = 0; v < 2; ++v) {
      const std::int64_t unit = u + v * kLanes;
      const Vector z_of_unit[4] = {z[0][v], z[1][v], z[2][v], z[3][v]};
      const CellVectors after = default_cell(z_of_unit, load(cell.c + unit));
      write_cell(cell, after, unit, [](float* to, Vector value) { store(to, value); });
    }
  }
}

}  // namespace
}  // namespace braid::kernels
