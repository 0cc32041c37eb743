#include "bench/device_problems.hpp"

#include <algorithm>
#include <utility>

#include "kernels/activation.hpp"
#include "kernels/dense.hpp"
#include "kernels/dropout.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/embedding.hpp"
#include "kernels/loss.hpp"
#include "kernels/mask.hpp"
#include "kernels/metric.hpp"
#include "kernels/optimizer.hpp"
#include "kernels/softmax.hpp"

namespace bench {

using namespace braid;
using kernels::Backend;

Matrix<float> Operands::floats(std::int64_t rows, std::int64_t columns, float low, float high) {
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  // A thousand random numbers and their repetitions do as well as so many of their own.
  constexpr std::size_t kOwn = 1021;
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] =
        i < kOwn ? low + (high - low) * static_cast<float>(random_.uniform()) : values[i - kOwn];
  }
  return {copy_of(values), rows, columns, columns};
}

Matrix<std::int32_t> Operands::ids(std::int64_t rows, std::int64_t columns, std::int64_t limit) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(rows * columns));
  for (std::int32_t& id : values)
    id = static_cast<std::int32_t>(random_.below(static_cast<std::uint64_t>(limit - 1))) + 1;
  return {copy_of(values), rows, columns, columns};
}

Matrix<std::uint8_t> Operands::mask(std::int64_t rows, std::int64_t steps, bool ragged,
                                    std::int64_t* valid) {
  std::vector<std::uint8_t> values(static_cast<std::size_t>(rows * steps), 0);
  std::int64_t sum = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t length =
        ragged ? static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(steps))) + 1
               : steps;
    std::fill_n(values.begin() + row * steps, length, std::uint8_t{1});
    sum += length;
  }
  if (valid != nullptr) *valid = sum;
  return {copy_of(values), rows, steps, steps};
}

Matrix<float> Operands::one_hot(std::int64_t rows, std::int64_t classes) {
  std::vector<float> values(static_cast<std::size_t>(rows * classes), 0);
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto kind = static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(classes)));
    values[static_cast<std::size_t>(row * classes + kind)] = 1;
  }
  return {copy_of(values), rows, classes, classes};
}

std::byte* Operands::bytes(std::size_t count) {
  owned_.push_back(allocate_on(device_, count, "operands of a benchmark"));
  return owned_.back().get();
}

namespace {

template <class Arguments>
Launch launch_of(const Arguments& arguments) {
  return [arguments](const kernels::Stream& stream) { kernels::launch(stream, arguments); };
}

double floats_of(std::int64_t rows, std::int64_t columns) {
  return 4.0 * static_cast<double>(rows) * static_cast<double>(columns);
}

class List {
 public:
  explicit List(Backend backend) : backend_(backend) {}

  template <class Arguments>
  void add(const char* kernel, std::string size,
           std::function<Arguments(Operands&, Effort&)> arguments) {
    problems.push_back({kernel, std::move(size), kernels::has_kernel<Arguments>(backend_),
                        [arguments](Operands& operands, Effort& effort) {
                          return launch_of(arguments(operands, effort));
                        }});
  }

  std::vector<Problem> problems;

 private:
  Backend backend_;
};

std::string sizes(std::initializer_list<std::int64_t> numbers) {
  std::string text;
  for (const std::int64_t number : numbers)
    text += (text.empty() ? "" : " x ") + std::to_string(number);
  return text;
}

void add_dense(List& list, std::int64_t wanted_rows, std::int64_t depth, std::int64_t columns,
               kernels::ActivationKind kind) {
  using namespace kernels;
  const std::string size = sizes({wanted_rows, depth, columns});
  const auto library_of = [=](Operands& on, std::int64_t rows) {
    const std::int64_t bytes = library_memory(rows, depth, columns, on.precision());
    return bytes == 0 ? LibraryMemory{}
                      : LibraryMemory{on.bytes(static_cast<std::size_t>(bytes)), bytes};
  };
  const auto effort_of = [=](Effort& effort, std::int64_t rows, Precision precision) {
    effort.precision = precision;
    effort.operations = 2.0 * static_cast<double>(rows * depth * columns);
    effort.bytes = floats_of(rows, depth) + floats_of(depth, columns) + floats_of(rows, columns);
  };
  list.add<DenseForward>("DenseForward", size, [=](Operands& on, Effort& effort) {
    const std::int64_t rows = on.size(wanted_rows, 32);
    effort_of(effort, rows, on.precision());
    return DenseForward{.in = on.floats(rows, depth),
                        .kernel = on.floats(depth, columns),
                        .bias = on.vector(columns),
                        .out = on.floats(rows, columns),
                        .activation = {kind},
                        .precision = on.precision(),
                        .for_library = library_of(on, rows)};
  });
  list.add<DenseInputGradient>("DenseInputGradient", size, [=](Operands& on, Effort& effort) {
    const std::int64_t rows = on.size(wanted_rows, 32);
    effort_of(effort, rows, on.precision());
    return DenseInputGradient{.out_grad = on.floats(rows, columns),
                              .kernel = on.floats(depth, columns),
                              .in_grad = on.floats(rows, depth),
                              .precision = on.precision(),
                              .for_library = library_of(on, rows)};
  });
  list.add<DenseWeightGradient>("DenseWeightGradient", size, [=](Operands& on, Effort& effort) {
    const std::int64_t rows = on.size(wanted_rows, 32);
    effort_of(effort, rows, on.precision());
    const std::int64_t scratch = dense_weight_scratch(rows, depth, columns);
    return DenseWeightGradient{
        .in = on.floats(rows, depth),
        .out_grad = on.floats(rows, columns),
        .kernel_grad = on.floats(depth, columns),
        .bias_grad = on.vector(columns),
        .precision = on.precision(),
        .scratch = scratch == 0
                       ? nullptr
                       : reinterpret_cast<float*>(on.bytes(static_cast<std::size_t>(scratch))),
        .for_library = library_of(on, rows)};
  });
}

void add_heads(List& list, std::int64_t wanted_rows) {
  using namespace kernels;
  const auto rows_of = [=](Operands& on) { return on.size(wanted_rows, 32); };
  for (const std::int64_t classes : {std::int64_t{1}, std::int64_t{10}}) {
    const std::string size = sizes({wanted_rows, classes});
    const LossRule rule{
        .kind = classes == 1 ? LossKind::binary_crossentropy : LossKind::categorical_crossentropy,
        .from_logits = true};
    list.add<LossForward>("LossForward", size, [=](Operands& on, Effort& effort) {
      const std::int64_t rows = rows_of(on);
      effort.bytes = floats_of(rows, 3 * classes + 1);
      return LossForward{
          .rule = rule,
          .truth = classes == 1 ? on.floats(rows, 1, 0, 1) : on.one_hot(rows, classes),
          .predicted = on.floats(rows, classes),
          .values = on.floats(rows, 1),
          .probabilities = on.floats(rows, classes)};
    });
    list.add<LossBackward>("LossBackward", size, [=](Operands& on, Effort& effort) {
      const std::int64_t rows = rows_of(on);
      effort.bytes = floats_of(rows, 3 * classes);
      return LossBackward{
          .rule = rule,
          .truth = classes == 1 ? on.floats(rows, 1, 0, 1) : on.one_hot(rows, classes),
          .predicted = on.floats(rows, classes),
          .probabilities = on.floats(rows, classes, 0.1F, 0.9F),
          .predicted_grad = on.floats(rows, classes)};
    });
    list.add<AccuracyValues>("AccuracyValues", size, [=](Operands& on, Effort& effort) {
      const std::int64_t rows = rows_of(on);
      effort.bytes = floats_of(rows, 2 * classes + 1);
      return AccuracyValues{.kind = classes == 1 ? AccuracyKind::binary : AccuracyKind::categorical,
                            .truth = on.one_hot(rows, classes),
                            .predicted = on.floats(rows, classes, 0, 1),
                            .values = on.floats(rows, 1)};
    });
  }
  list.add<WeightedSum>("WeightedSum", sizes({wanted_rows, 1}), [=](Operands& on, Effort& effort) {
    const std::int64_t rows = rows_of(on);
    effort.bytes = floats_of(rows, 1);
    return WeightedSum{.value = on.floats(rows, 1), .sums = on.vector(2)};
  });
  list.add<SoftmaxForward>(
      "SoftmaxForward", sizes({wanted_rows, 10}), [=](Operands& on, Effort& effort) {
        const std::int64_t rows = rows_of(on);
        effort.bytes = floats_of(rows, 20);
        return SoftmaxForward{.in = on.floats(rows, 10), .out = on.floats(rows, 10)};
      });
}

void add_elements(List& list, std::int64_t wanted_rows, std::int64_t columns) {
  using namespace kernels;
  const std::string size = sizes({wanted_rows, columns});
  const auto rows_of = [=](Operands& on) { return on.size(wanted_rows, 32); };
  list.add<ActivationForward>("ActivationForward", size, [=](Operands& on, Effort& effort) {
    effort.bytes = floats_of(rows_of(on), 2 * columns);
    return ActivationForward{.in = on.floats(rows_of(on), columns),
                             .out = on.floats(rows_of(on), columns),
                             .activation = {ActivationKind::relu}};
  });
  list.add<ActivationBackward>("ActivationBackward", size, [=](Operands& on, Effort& effort) {
    effort.bytes = floats_of(rows_of(on), 3 * columns);
    return ActivationBackward{.out = on.floats(rows_of(on), columns),
                              .out_grad = on.floats(rows_of(on), columns),
                              .in_grad = on.floats(rows_of(on), columns),
                              .activation = {ActivationKind::relu}};
  });
  list.add<Dropout>("Dropout", size, [=](Operands& on, Effort& effort) {
    effort.bytes = floats_of(rows_of(on), 2 * columns);
    return Dropout{.in = on.floats(rows_of(on), columns),
                   .out = on.floats(rows_of(on), columns),
                   .rate = 0.5F,
                   .state = on.copy_of(std::vector<RandomState>{{11, 3}})};
  });
  list.add<CopyRows>("CopyRows", size, [=](Operands& on, Effort& effort) {
    const std::int64_t bytes = 4 * columns;
    effort.bytes = floats_of(rows_of(on), 2 * columns);
    auto* const in = reinterpret_cast<std::uint8_t*>(on.floats(rows_of(on), columns).data);
    auto* const out = reinterpret_cast<std::uint8_t*>(on.floats(rows_of(on), columns).data);
    return CopyRows{.in = {in, rows_of(on), bytes, bytes}, .out = {out, rows_of(on), bytes, bytes}};
  });
}

void add_embedding(List& list, std::int64_t wanted_vocabulary, std::int64_t width,
                   std::int64_t wanted_rows, std::int64_t steps) {
  using namespace kernels;
  const std::string size =
      sizes({wanted_vocabulary, width}) + ", ids " + sizes({wanted_rows, steps});
  const auto rows_of = [=](Operands& on) { return on.size(wanted_rows, 2); };
  const auto vocabulary_of = [=](Operands& on) { return on.size(wanted_vocabulary, 50); };
  list.add<EmbeddingForward>("EmbeddingForward", size, [=](Operands& on, Effort& effort) {
    const std::int64_t tokens = rows_of(on) * steps;
    effort.bytes = floats_of(tokens, 2 * width + 1);
    return EmbeddingForward{.ids = on.ids(rows_of(on), steps, vocabulary_of(on)),
                            .table = on.floats(vocabulary_of(on), width),
                            .out = on.floats(tokens, width)};
  });
  list.add<EmbeddingSort>("EmbeddingSort", size, [=](Operands& on, Effort& effort) {
    const std::int64_t tokens = rows_of(on) * steps;
    effort.bytes = floats_of(2 * tokens + vocabulary_of(on) + 1, 1);
    const std::int64_t scratch = embedding_sort_scratch(tokens, vocabulary_of(on));
    return EmbeddingSort{.ids = on.ids(rows_of(on), steps, vocabulary_of(on)),
                         .order = on.ids(1, tokens, 2).data,
                         .segments = on.ids(1, vocabulary_of(on) + 1, 2).data,
                         .vocabulary = vocabulary_of(on),
                         .scratch = scratch > 0 ? on.ids(1, scratch, 2).data : nullptr};
  });
  list.add<EmbeddingBackward>("EmbeddingBackward", size, [=](Operands& on, Effort& effort) {
    const std::int64_t tokens = rows_of(on) * steps;
    const std::int64_t vocabulary = vocabulary_of(on);
    effort.bytes = floats_of(tokens + vocabulary, width + 1);
    std::vector<std::int32_t> order(static_cast<std::size_t>(tokens));
    std::vector<std::int32_t> segments(static_cast<std::size_t>(vocabulary + 1));
    for (std::size_t i = 0; i < order.size(); ++i)
      order[i] = static_cast<std::int32_t>((i * 7919) % order.size());
    for (std::size_t v = 0; v < segments.size(); ++v)
      segments[v] = static_cast<std::int32_t>(static_cast<std::int64_t>(v) * tokens / vocabulary);
    std::vector<std::int32_t> ids(order.size());
    for (std::size_t v = 0; v + 1 < segments.size(); ++v) {
      for (auto i = static_cast<std::size_t>(segments[v]);
           i < static_cast<std::size_t>(segments[v + 1]); ++i)
        ids[static_cast<std::size_t>(order[i])] = static_cast<std::int32_t>(v);
    }
    return EmbeddingBackward{.ids = {on.copy_of(ids), rows_of(on), steps, steps},
                             .order = on.copy_of(order),
                             .segments = on.copy_of(segments),
                             .out_grad = on.floats(tokens, width),
                             .table_grad = on.floats(vocabulary, width),
                             .first = 0,
                             .last = vocabulary,
                             .scratch = on.floats(1, embedding_sums_scratch(tokens, width)).data};
  });
}

void add_adam(List& list, std::int64_t wanted) {
  using namespace kernels;
  list.add<AdamUpdate>("AdamUpdate", sizes({wanted}), [=](Operands& on, Effort& effort) {
    const std::int64_t count = on.size(wanted, 1000);
    effort.bytes = 28.0 * static_cast<double>(count);
    return AdamUpdate{.gradient = {.data = on.vector(count)},
                      .parameter = on.vector(count),
                      .momentum = on.vector(count),
                      .velocity = on.vector(count, 0, 1),
                      .count = count,
                      .rates = on.copy_of(std::vector<UpdateRates>{{1e-3F, 1e-3F}}),
                      .one_minus_beta_1 = 0.1F,
                      .one_minus_beta_2 = 0.001F,
                      .epsilon = 1e-7F};
  });
}

void add_lstm(List& list, const LstmSize& wanted) {
  const std::string size = sizes({wanted.rows, wanted.steps, wanted.features, wanted.units}) +
                           (wanted.ragged ? " ragged" : " full") +
                           (wanted.words > 0 ? " of " + sizes({wanted.words}) + " words" : "");
  const auto cut = [wanted](Operands& on) {
    return LstmSize{on.size(wanted.rows, 3),
                    on.size(wanted.steps, 5),
                    on.size(wanted.features, 8),
                    wanted.units,
                    wanted.ragged,
                    on.size(wanted.words, 5)};
  };
  list.add<kernels::LstmForward>("LstmForward", size, nullptr);
  list.problems.back().make = [cut](Operands& on, Effort& effort) {
    return lstm_forward(on, cut(on), effort);
  };
  list.add<kernels::LstmBackward>("LstmForward, LstmBackward", size, nullptr);
  list.problems.back().make = [cut](Operands& on, Effort& effort) {
    return lstm_both(on, cut(on), effort);
  };
}

}  // namespace

std::vector<Problem> all_problems(Backend backend) {
  using kernels::ActivationKind;
  List list(backend);
  for (const LstmSize& size :
       {LstmSize{32, 200, 128, 64, true}, LstmSize{256, 200, 128, 64, true},
        LstmSize{256, 200, 128, 64, false}, LstmSize{1024, 200, 128, 64, true},
        LstmSize{256, 200, 128, 64, true, 10000}, LstmSize{1024, 200, 128, 64, true, 10000},
        LstmSize{256, 200, 128, 128, false}, LstmSize{256, 200, 128, 256, false},
        LstmSize{32, 200, 128, 512, false}, LstmSize{256, 200, 128, 512, false}})
    add_lstm(list, size);
  add_dense(list, 32, 100, 64, ActivationKind::relu);
  add_dense(list, 1024, 100, 64, ActivationKind::relu);
  add_dense(list, 1024, 96, 1, ActivationKind::sigmoid);
  add_dense(list, 1024, 784, 64, ActivationKind::relu);
  add_dense(list, 8192, 784, 64, ActivationKind::relu);
  add_embedding(list, 10000, 128, 256, 200);
  add_adam(list, 7000);       // model 1
  add_adam(list, 55000);      // model 3
  add_adam(list, 100'000);    // of a goal
  add_adam(list, 1'330'000);  // model 2
  add_heads(list, 1024);
  add_elements(list, 1024, 64);
  // Far larger than a cache: goals for the share of the memory's rate.
  add_adam(list, 128'000'000);
  add_elements(list, 1'000'000, 128);
  add_embedding(list, 1'000'000, 128, 8192, 200);
  add_dense(list, 8192, 4096, 4096, ActivationKind::relu);
  // What the emulated device cannot be asked to multiply.
  if (backend == Backend::emulated) {
    std::erase_if(list.problems, [](const Problem& problem) {
      return problem.size.find("4096") != std::string::npos;
    });
  }
  return std::move(list.problems);
}

}  // namespace bench
