// The gather kernel against plain loops, byte for byte.
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "kernels/gather.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/guarded_matrix.hpp"

using namespace braid;
using namespace braid::testing;
using kernels::GatherBatch;
using kernels::GatheredColumn;
using kernels::StepCursor;

namespace {

constexpr DType kFrom[] = {DType::float32, DType::int32, DType::int64, DType::uint8, DType::bool_};
constexpr DType kTo[] = {DType::float32, DType::int32, DType::uint8, DType::bool_};

// Calls body(T{}) with the C++ type of a dtype.
template <class Body>
void with_type(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::float32: return body(float{});
    case DType::int32: return body(std::int32_t{});
    case DType::int64: return body(std::int64_t{});
    case DType::uint8:
    case DType::bool_: return body(std::uint8_t{});
  }
}

// Values that every dtype holds, but for the fractions of floats and large numbers of int64.
KernelMemory<std::byte> random_values(DType dtype, std::int64_t count, RandomNumbers& random) {
  KernelMemory<std::byte> bytes(static_cast<std::size_t>(count) * size_of(dtype));
  with_type(dtype, [&](auto example) {
    using T = decltype(example);
    for (std::int64_t i = 0; i < count; ++i) {
      auto value = static_cast<T>(random.below(dtype == DType::bool_ ? 2 : 250));
      if (dtype == DType::float32) value = static_cast<T>(random.uniform(0, 200));
      if (dtype == DType::int64 && i % 3 == 0) value = static_cast<T>((1 << 24) + 1 + i);
      std::memcpy(bytes.data() + i * static_cast<std::int64_t>(sizeof(T)), &value, sizeof(T));
    }
  });
  return bytes;
}

// One column: its values, where its batch goes, and what must come there.
class Column {
 public:
  Column(DType from, DType to, std::int64_t rows, std::int64_t width, bool ragged,
         RandomNumbers& random)
      : from_(from), to_(to), width_(width), ragged_(ragged) {
    splits_.push_back(0);
    for (std::int64_t row = 0; row < rows; ++row)
      splits_.push_back(splits_.back() + (ragged ? random.below(kSteps + 1) : 1));
    values_ = random_values(from, splits_.back() * width, random);
  }

  GatheredColumn arguments(std::int64_t batch) {
    const std::int64_t steps = ragged_ ? kSteps : 1;
    out_ = GuardedMatrix<std::uint8_t>(batch,
                                       steps * width_ * static_cast<std::int64_t>(size_of(to_)));
    mask_ = GuardedMatrix<std::uint8_t>(batch, steps);
    return {.values = values_.data(),
            .splits = ragged_ ? splits_.data() : nullptr,
            .from = from_,
            .to = to_,
            .width = width_,
            .steps = steps,
            .out = reinterpret_cast<std::byte*>(out_.data()),
            .mask = ragged_ ? mask_.data() : nullptr};
  }

  void check(const std::vector<std::int64_t>& rows) {
    CHECK(out_.guards_are_intact());
    CHECK(mask_.guards_are_intact());
    CHECK(out_.elements() == expected(rows));
    if (ragged_) CHECK(mask_.elements() == expected_mask(rows));
  }

 private:
  static constexpr std::int64_t kSteps = 8;

  std::vector<std::uint8_t> expected(const std::vector<std::int64_t>& rows) const {
    std::vector<std::uint8_t> bytes;
    with_type(from_, [&](auto source) {
      with_type(to_, [&](auto target) {
        for (const std::int64_t row : rows) {
          const std::int64_t first = splits_[static_cast<std::size_t>(row)] * width_;
          const std::int64_t end = splits_[static_cast<std::size_t>(row + 1)] * width_;
          for (std::int64_t i = 0; i < (ragged_ ? kSteps : 1) * width_; ++i) {
            target = 0;
            if (first + i < end) {
              std::memcpy(&source,
                          values_.data() + (first + i) * static_cast<std::int64_t>(sizeof(source)),
                          sizeof(source));
              target = static_cast<decltype(target)>(source);
            }
            for (const std::uint8_t byte :
                 std::bit_cast<std::array<std::uint8_t, sizeof(target)>>(target))
              bytes.push_back(byte);
          }
        }
      });
    });
    return bytes;
  }
  std::vector<std::uint8_t> expected_mask(const std::vector<std::int64_t>& rows) const {
    std::vector<std::uint8_t> mask;
    for (const std::int64_t row : rows) {
      const auto r = static_cast<std::size_t>(row);
      for (std::int64_t t = 0; t < kSteps; ++t)
        mask.push_back(t < splits_[r + 1] - splits_[r] ? 1 : 0);
    }
    return mask;
  }

  DType from_;
  DType to_;
  std::int64_t width_;
  bool ragged_;
  KernelMemory<std::int64_t> splits_;
  KernelMemory<std::byte> values_;
  GuardedMatrix<std::uint8_t> out_;
  GuardedMatrix<std::uint8_t> mask_;
};

// Gathers `batch` rows of columns of `rows` rows, from the cursor's place on, in two pieces.
void check_gathered(Backend backend, std::vector<Column>& columns, std::int64_t rows,
                    std::int64_t begin, std::int64_t batch, bool ordered, RandomNumbers& random) {
  KernelMemory<std::int64_t> order;
  for (std::int64_t i = 0; i < rows; ++i) order.push_back(random.below(rows));
  const KernelMemory<StepCursor> cursor{{.row = begin, .step = 3}};
  GatherBatch args{.order = ordered ? order.data() : nullptr, .cursor = cursor.data()};
  const auto gather = [&] {
    const std::int64_t middle = random.below(batch + 1);
    args.first = 0;
    args.rows = middle;
    launch_on(backend, args);
    args.first = middle;
    args.rows = batch - middle;
    launch_on(backend, args);
    args.count = 0;
  };
  for (Column& column : columns) {
    args.columns[args.count++] = column.arguments(batch);
    if (args.count == kernels::kMaxGatheredColumns) gather();
  }
  gather();
  std::vector<std::int64_t> picked;
  for (std::int64_t n = begin; n < begin + batch; ++n)
    picked.push_back(ordered ? order[static_cast<std::size_t>(n)] : n);
  for (Column& column : columns) column.check(picked);
}

}  // namespace

TEST_CASE("gather: rows of every dtype arrive in the dtype of the batch") {
  RandomNumbers random(5);
  for (const DType from : kFrom) {
    for (const DType to : kTo) {
      if (from == DType::float32 && to == DType::bool_) continue;
      for (const bool ragged : {false, true}) {
        for (const Backend backend : tested_backends()) {
          INFO(kernels::name_of(backend)
               << ", " << name_of(from) << " to " << name_of(to) << (ragged ? ", ragged" : ""));
          std::vector<Column> columns;
          columns.emplace_back(from, to, 9, 3, ragged, random);
          check_gathered(backend, columns, 9, 2, 5, true, random);
        }
      }
    }
  }
}

TEST_CASE("gather: rows of any width, by order or as they lie, from where the cursor stands") {
  RandomNumbers random(6);
  for (const std::int64_t width : {0, 1, 2, 3, 6, 16, 33, 68}) {
    for (const std::int64_t batch : {0, 1, 7, 70}) {
      for (const bool ordered : {false, true}) {
        for (const Backend backend : tested_backends()) {
          INFO(kernels::name_of(backend)
               << ", width " << width << ", batch " << batch << (ordered ? ", ordered" : ""));
          std::vector<Column> columns;
          columns.emplace_back(DType::float32, DType::float32, 80, width, false, random);
          columns.emplace_back(DType::uint8, DType::uint8, 80, width, false, random);
          check_gathered(backend, columns, 80, 10, batch, ordered, random);
        }
      }
    }
  }
}

TEST_CASE("gather: many columns of a batch at once, ragged and dense, of different lengths") {
  RandomNumbers random(7);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    std::vector<Column> columns;
    columns.emplace_back(DType::int64, DType::int32, 60, 1, true, random);
    columns.emplace_back(DType::float32, DType::float32, 60, 4, true, random);
    columns.emplace_back(DType::uint8, DType::uint8, 60, 784, false, random);
    columns.emplace_back(DType::float32, DType::float32, 60, 1, false, random);
    columns.emplace_back(DType::int32, DType::float32, 60, 5, true, random);
    columns.emplace_back(DType::uint8, DType::uint8, 60, 3, true, random);
    columns.emplace_back(DType::bool_, DType::bool_, 60, 2, false, random);
    columns.emplace_back(DType::int64, DType::float32, 60, 1, false, random);
    check_gathered(backend, columns, 60, 20, 33, true, random);
  }
}

TEST_CASE("gather: where the mask alone is wanted no values are written") {
  RandomNumbers random(8);
  for (const Backend backend : tested_backends()) {
    INFO(kernels::name_of(backend));
    const KernelMemory<std::int64_t> splits{0, 2, 2, 5};
    const KernelMemory<StepCursor> cursor{{.row = 1}};
    GuardedMatrix<std::uint8_t> mask(2, 4);
    GatherBatch args{.count = 1, .cursor = cursor.data(), .rows = 2};
    args.columns[0] = {.splits = splits.data(), .width = 0, .steps = 4, .mask = mask.data()};
    launch_on(backend, args);
    CHECK(mask.values() == Numbers{0, 0, 0, 0, 1, 1, 1, 0});
    CHECK(mask.guards_are_intact());
  }
}
