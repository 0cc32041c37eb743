#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <braid/braid.hpp>

#include "engine/core/device_access.hpp"
#include "kernels/launch.hpp"
#include "kernels/lstm.hpp"

namespace bench {

using braid::kernels::Precision;

// Memory on a device, of the operands of one problem: random numbers, as zeros would be too easy.
class Operands {
 public:
  Operands(braid::Device device, Precision precision, bool small)
      : device_(device),
        access_(braid::access_to(device)),
        precision_(precision),
        small_(small),
        random_(7) {}

  // What products round their operands to.
  Precision precision() const { return precision_; }

  // On the emulated device sizes are cut down: what it shows is that the launches are right.
  std::int64_t size(std::int64_t wanted, std::int64_t small) const {
    return small_ ? std::min(wanted, small) : wanted;
  }

  braid::Matrix<float> floats(std::int64_t rows, std::int64_t columns, float low = -1,
                              float high = 1);
  float* vector(std::int64_t count, float low = -1, float high = 1) {
    return floats(1, count, low, high).data;
  }
  // 1 <= id < limit.
  braid::Matrix<std::int32_t> ids(std::int64_t rows, std::int64_t columns, std::int64_t limit);
  // Rows of 1 to all valid steps, of which on average half are valid; or all.
  braid::Matrix<std::uint8_t> mask(std::int64_t rows, std::int64_t steps, bool ragged,
                                   std::int64_t* valid = nullptr);
  braid::Matrix<float> one_hot(std::int64_t rows, std::int64_t classes);
  template <class T>
  T* copy_of(const std::vector<T>& values) {
    auto* const there = reinterpret_cast<T*>(bytes(values.size() * sizeof(T)));
    access_.upload(reinterpret_cast<std::byte*>(there),
                   reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T),
                   nullptr);
    return there;
  }
  // So many from here on, on the host again.
  template <class T>
  std::vector<T> values_of(const T* there, std::int64_t count) const {
    std::vector<T> values(static_cast<std::size_t>(count));
    access_.download(reinterpret_cast<std::byte*>(values.data()),
                     reinterpret_cast<const std::byte*>(there), values.size() * sizeof(T), nullptr);
    return values;
  }
  // Not written.
  std::byte* bytes(std::size_t count);

 private:
  braid::Device device_;
  const braid::DeviceAccess& access_;
  Precision precision_;
  bool small_;
  braid::Random random_;
  std::vector<std::shared_ptr<std::byte[]>> owned_;
};

// What one launch must do, at least.
struct Effort {
  double bytes = 0;                          // read and written in memory
  double operations = 0;                     // multiplications and additions
  Precision precision = Precision::float32;  // of the operations
  std::int64_t steps = 0;                    // of an LSTM, one behind the other
};

using Launch = std::function<void(const braid::kernels::Stream&)>;

// One launch of one kernel at one size.
struct Problem {
  std::string kernel;
  std::string size;
  bool present;  // the backend has the kernel
  std::function<Launch(Operands&, Effort&)> make;
};

// Kernels at the sizes of the reference models, and at those of the goals for memory and rates.
std::vector<Problem> all_problems(braid::kernels::Backend backend);

struct LstmSize {
  std::int64_t rows;
  std::int64_t steps;
  std::int64_t features;
  std::int64_t units;
  bool ragged;
  std::int64_t words = 0;  // rows of the table that the inputs are, whose gradient is wanted
  bool sequence = false;   // the outputs of all steps are wanted, and have gradients; else the last

  bool operator==(const LstmSize&) const = default;
};
// As in training, keeping what the backward pass needs.
Launch lstm_forward(Operands& operands, const LstmSize& size, Effort& effort);
// Forward, and backward with all gradients.
Launch lstm_both(Operands& operands, const LstmSize& size, Effort& effort);

}  // namespace bench
