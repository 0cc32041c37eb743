// Handwritten digits: two Dense layers on the bytes of the pictures. --data names a folder with the
// four IDX files of MNIST.
#include <cstdio>
#include <filesystem>

#include "majority.hpp"
#include "options.hpp"

using namespace braid;

namespace {

constexpr int kSide = 28;
constexpr int kClasses = 10;

// The file of this name, gzipped or not.
std::string idx_file(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  return std::filesystem::exists(path) ? path : path + ".gz";
}

// Digits as a pocket calculator shows them: seven strokes, shifted and blurred by noise.
Dataset make_digits(std::int64_t rows, std::uint64_t seed) {
  constexpr int kStrokes[kClasses] = {0x77, 0x24, 0x5d, 0x6d, 0x2e, 0x6b, 0x7b, 0x25, 0x7f, 0x6f};
  // left, top, right, bottom of: top, upper left, upper right, middle, lower left, lower right,
  // bottom
  constexpr int kBoxes[7][4] = {{8, 4, 19, 6},   {8, 4, 10, 14},   {17, 4, 19, 14}, {8, 12, 19, 14},
                                {8, 12, 10, 22}, {17, 12, 19, 22}, {8, 20, 19, 22}};
  Random random(seed);
  Tensor images = Tensor::zeros({rows, kSide, kSide}, DType::uint8);
  std::vector<std::int32_t> labels;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto digit = random.below(kClasses);
    const int dx = static_cast<int>(random.below(9)) - 4;
    const int dy = static_cast<int>(random.below(7)) - 3;
    std::uint8_t* image = images.data<std::uint8_t>() + row * kSide * kSide;
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        bool ink = false;
        for (int stroke = 0; stroke < 7; ++stroke) {
          const int* box = kBoxes[stroke];
          ink = ink || ((kStrokes[digit] >> stroke & 1) != 0 && x - dx >= box[0] &&
                        x - dx <= box[2] && y - dy >= box[1] && y - dy <= box[3]);
        }
        const bool flipped = random.uniform() < 0.12;
        image[y * kSide + x] =
            static_cast<std::uint8_t>(ink != flipped ? 255 - random.below(80) : random.below(60));
      }
    }
    labels.push_back(static_cast<std::int32_t>(digit));
  }
  return Dataset::from({{"image", images}}, {{"label", Tensor::from(labels, {rows})}});
}

Dataset read_digits(const std::string& folder, const std::string& part) {
  const Dataset data = Dataset::idx(idx_file(folder, part + "-images-idx3-ubyte"),
                                    idx_file(folder, part + "-labels-idx1-ubyte"));
  return data.map("label", [](const Tensor& bytes) {
    const auto labels = bytes.to_vector<std::uint8_t>();
    return Tensor::from(std::vector<std::int32_t>(labels.begin(), labels.end()), {bytes.rows()});
  });
}

void run(const ExampleOptions& options) {
  const bool real = !options.data.empty();
  Dataset training = real ? read_digits(options.data, "train") : make_digits(6000, options.seed);
  const Dataset test =
      real ? read_digits(options.data, "t10k") : make_digits(2000, options.seed + 1);
  if (options.limit > 0)
    training = training.slice(0, std::min<std::int64_t>(options.limit, training.rows()));

  // The bytes stay bytes in memory; the graph scales them.
  auto image = Input({.shape = {kSide, kSide}, .name = "image"});
  auto h = layers::Flatten()(image * (1.0 / 255));
  h = layers::Dense({.units = 128, .activation = "relu"})(h);
  auto label = layers::Dense({.units = kClasses, .activation = "softmax", .name = "label"})(h);
  Model model({image}, {label});
  model.compile(
      {.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  std::printf("%s\n", model.summary().c_str());
  model.fit(training, {.batch_size = options.batch_size,
                       .epochs = options.epochs,
                       .callbacks = {callbacks::StopOnInterrupt()},
                       .validation_split = 0.1});

  const Logs logs = model.evaluate(test, {.batch_size = 1000});
  const TensorDict answers = model.predict(test.slice(0, 3).x());
  for (int row = 0; row < 3; ++row) {
    const float* scores = answers["label"].data<float>() + row * kClasses;
    const int seen = best_class(scores, kClasses);
    std::printf("a picture of a %d: the model sees a %d (probability %.2f)\n",
                test["label"].data<std::int32_t>()[row], seen, static_cast<double>(scores[seen]));
  }
  const double majority = majority_share(test["label"]);
  std::printf("test accuracy %.2f %%, always the majority %.2f %%\n", 100 * logs["accuracy"],
              100 * majority);
  std::printf("RESULT loss=%.4f accuracy=%.4f majority=%.4f\n", logs["loss"], logs["accuracy"],
              majority);
}

}  // namespace

int main(int argc, char** argv) {
  return run_example(argc, argv, "Reads handwritten digits with two Dense layers.",
                     {.epochs = 8, .batch_size = 64}, run);
}
