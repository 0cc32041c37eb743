#pragma once
#include <braid/dataset.hpp>
#include <braid/random.hpp>
#include <string>
#include <vector>

#include "data_file.hpp"

constexpr int kSide = 28;
constexpr int kDigits = 10;

// Pictures of digits as columns "image" (uint8 [rows, 28, 28]) and "label".

// A part of MNIST, "train" or "t10k": two IDX files of the folder.
inline braid::Dataset read_digits(const std::string& folder, const std::string& part) {
  const auto data = braid::Dataset::idx(data_file(folder, part + "-images-idx3-ubyte"),
                                        data_file(folder, part + "-labels-idx1-ubyte"));
  return data.map("label", [](const braid::Tensor& bytes) {
    const auto labels = bytes.to_vector<std::uint8_t>();
    return braid::Tensor::from(std::vector<std::int32_t>(labels.begin(), labels.end()),
                               {bytes.rows()});
  });
}

// Digits as a pocket calculator shows them: seven strokes, shifted, among noise.
inline braid::Dataset make_digits(std::int64_t rows, std::uint64_t seed) {
  // The strokes of each digit, one a bit, lowest first: top, upper left, upper right, middle, lower
  // left, lower right, bottom.
  constexpr int kStrokes[kDigits] = {0x77, 0x24, 0x5d, 0x6d, 0x2e, 0x6b, 0x7b, 0x25, 0x7f, 0x6f};
  struct Box {
    int left, top, right, bottom;
    bool holds(int x, int y) const { return x >= left && x <= right && y >= top && y <= bottom; }
  };
  constexpr Box kBoxes[7] = {{8, 4, 19, 6},   {8, 4, 10, 14},   {17, 4, 19, 14}, {8, 12, 19, 14},
                             {8, 12, 10, 22}, {17, 12, 19, 22}, {8, 20, 19, 22}};
  braid::Random random(seed);
  auto images = braid::Tensor::zeros({rows, kSide, kSide}, braid::DType::uint8);
  auto* pixel = images.data<std::uint8_t>();
  std::vector<std::int32_t> labels;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto digit = random.below(kDigits);
    const int dx = static_cast<int>(random.below(7)) - 3;
    const int dy = static_cast<int>(random.below(5)) - 2;
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        bool ink = false;
        for (int stroke = 0; stroke < 7; ++stroke) {
          const bool drawn = (kStrokes[digit] >> stroke & 1) != 0;
          ink = ink || (drawn && kBoxes[stroke].holds(x - dx, y - dy));
        }
        const bool flipped = random.uniform() < 0.08F;
        *pixel++ =
            static_cast<std::uint8_t>(ink != flipped ? 255 - random.below(80) : random.below(60));
      }
    }
    labels.push_back(static_cast<std::int32_t>(digit));
  }
  return braid::Dataset::from({{"image", images}},
                              {{"label", braid::Tensor::from(labels, {rows})}});
}
