#include "bench/lstm_exchange.hpp"

#include <algorithm>

#include "engine/core/device_access.hpp"
#include "engine/io/npz.hpp"

namespace bench {

using namespace braid;

namespace {

constexpr std::int64_t kMostFloats = 1 << 22;  // of an array with values for each step

// All, or as many as make no large file: those lie apart, and at any place within a tile of rows.
// The gradients of the weights are sums over all of them.
std::vector<std::int32_t> written_rows(const LstmSize& size) {
  const std::int64_t floats = size.steps * std::max(size.features, size.units);
  const std::int64_t count =
      std::clamp<std::int64_t>(kMostFloats / floats, 1, std::max<std::int64_t>(1, size.rows));
  const std::int64_t apart = std::max<std::int64_t>(1, size.rows / count);
  std::vector<std::int32_t> rows;
  for (std::int64_t i = 0; i < count; ++i)
    rows.push_back(static_cast<std::int32_t>(i * size.rows / count + i % apart));
  return rows;
}

class Downloads {
 public:
  explicit Downloads(Device device) : access_(access_to(device)) {}

  Tensor whole(const float* from, Shape shape) const {
    Tensor tensor = Tensor::uninitialized(std::move(shape), DType::float32);
    access_.download(tensor.raw(), reinterpret_cast<const std::byte*>(from), tensor.bytes(),
                     nullptr);
    return tensor;
  }
  Tensor whole(const Matrix<const float>& from) const {
    return whole(from.data, {from.rows, from.columns});
  }
  // Of an array with `steps` lines for each row.
  Tensor of_rows(const Matrix<const float>& from, std::int64_t steps,
                 const std::vector<std::int32_t>& rows) const {
    Tensor tensor = Tensor::uninitialized(
        {static_cast<std::int64_t>(rows.size()), steps, from.columns}, DType::float32);
    const std::size_t bytes = tensor.bytes() / rows.size();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const float* const row = from.data + rows[i] * steps * from.columns;
      access_.download(tensor.raw() + i * bytes, reinterpret_cast<const std::byte*>(row), bytes,
                       nullptr);
    }
    return tensor;
  }

 private:
  const DeviceAccess& access_;
};

template <class T>
Tensor line_of(const std::vector<T>& values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

}  // namespace

void write_lstm(const std::string& path, Device device, const LstmLayer& layer) {
  const LstmSize& size = layer.size;
  const DeviceAccess& access = access_to(device);
  const std::shared_ptr<void> stream = make_stream(access);
  launch_of(layer, Passes::both)({.backend = device.kind() == Device::Kind::cuda
                                                 ? kernels::Backend::cuda
                                                 : kernels::Backend::emulated,
                                  .native = stream.get()});
  access.synchronize(stream.get());
  const Downloads downloads(device);
  const std::vector<std::int32_t> rows = written_rows(size);
  const std::vector<std::int64_t> numbers{size.rows, size.steps, size.features, size.units};
  const std::int64_t wide = 4 * size.units;
  write_npz(path, {{"size", line_of(numbers)},
                   {"in_numbers", line_of(layer.in_numbers)},
                   {"grad_numbers", line_of(layer.grad_numbers)},
                   {"lengths", line_of(layer.lengths)},
                   {"kernel", downloads.whole(layer.forward.kernel)},
                   {"recurrent", downloads.whole(layer.forward.recurrent)},
                   {"bias", downloads.whole(layer.forward.bias, {wide})},
                   {"kernel_grad", downloads.whole(layer.backward.kernel_grad)},
                   {"recurrent_grad", downloads.whole(layer.backward.recurrent_grad)},
                   {"bias_grad", downloads.whole(layer.backward.bias_grad, {wide})},
                   {"written", line_of(rows)},
                   {"outputs", downloads.of_rows(layer.forward.sequence, size.steps, rows)},
                   {"in_grad", downloads.of_rows(layer.backward.in_grad, size.steps, rows)}});
}

}  // namespace bench
