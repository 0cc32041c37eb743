#pragma once
#include "bench/device_problems.hpp"

namespace bench {

// Answers bench/lstm_layers.py and bench/goals.py until standard input ends: a request is a line,
// its answer a line of JSON. An LSTM has outputs of all steps, and gradients of all of them; SIZE
// is ROWS STEPS FEATURES UNITS RAGGED (0 or 1). A kernel is named as its row of device_bench.cpp.
//
//   spin              keeps the device busy until its clock is high
//   write FILE SIZE   both passes of an LSTM, as .npz (bench/lstm_exchange.hpp)
//   lstm SIZE         microseconds of its forward pass and of both: least, median and floor
//   kernel NAME SIZE  microseconds of one kernel: least, median and floor
void serve_device(braid::Device device, Precision precision);

}  // namespace bench
