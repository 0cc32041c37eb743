#pragma once
#include <string>

#include "bench/device_lstm.hpp"

namespace bench {

// Carries out both passes of a layer with gradients of a sequence, and writes what went in and what
// came out, for others to compare with theirs (bench/peers/cudnn_peer.py):
//
//   size                         rows, steps, features, units
//   in_numbers, grad_numbers     inputs [B, T, E] and gradients of the outputs [B, T, H] are these
//                                again and again; the latter 0 behind a row's length
//   lengths [B]
//   kernel, recurrent, bias, kernel_grad, recurrent_grad, bias_grad
//   written [R]                  rows of which there are
//   outputs [R, T, H], in_grad [R, T, E]
void write_lstm(const std::string& path, braid::Device device, const LstmLayer& layer);

}  // namespace bench
