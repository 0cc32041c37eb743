// Times training steps and predictions of the reference models on request, one request a line on
// standard input, one JSON answer a line on standard output: bench/run.py alternates between this
// program and its rivals, which speak the same lines.
//
//   write FOLDER MODEL...            data and initial weights, as .npz
//   losses MODEL BATCH COUNT STEPS   the loss of each step, from the initial weights
//   train MODEL BATCH COUNT SECONDS  microseconds of train_on_batch, by batch: least and median
//   predict MODEL COUNT SECONDS      the same of predict_on_batch of single rows
//   outputs MODEL COUNT              predictions of single rows, by output
//   fit MODEL BATCH COUNT SECONDS    microseconds of a step within fit
//   fit-many MODEL BATCH COUNT SECONDS  the same with COUNT steps a launch
//   epochs MODEL BATCH COUNT AT_ONCE SECONDS  microseconds of a step within one fit, of it the
//                                    host's for launching, AT_ONCE steps a launch: least and median
//   spin SECONDS                     works the device so long: one that was idle has a low clock
//   upload MODEL BATCH COUNT         bytes of a batch, and the microseconds that a copy of so many
//                                    from page-locked memory to the device takes
//   memory MODEL BATCH COUNT         bytes that a step takes beside weights, optimizer and inputs
//   facts MODEL BATCH COUNT          op calls, arena bytes, calls of operator new of a warm step
//   floor MODEL BATCH COUNT          the least that a step takes; BATCH 0: of one predicted row
//   digest MODEL BATCH COUNT STEPS   of all bits of weights, optimizer, losses and predictions
//                                    after so many steps, in whole rounds of the batches
//
// COUNT batches (or rows) are taken in turn.
//
//   braid_step_bench [--device cuda] [--large] [--precision float32] [--ask REQUEST]
//
// --device puts models on another device than the CPU (status 3: it is not there), --large makes
// data for the batches of a GPU, --ask answers one request and ends.
#include <algorithm>
#include <braid/braid.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "bench/clock.hpp"
#include "bench/device_facts.hpp"
#include "bench/fit_clock.hpp"
#include "bench/floors.hpp"
#include "bench/precision_names.hpp"
#include "bench/reference_models.hpp"
#include "bench/state_digest.hpp"
#include "bench/step_memory.hpp"
#include "engine/runtime/parallel.hpp"
#include "kernels/launch.hpp"
#include "tests/support/heap_counter.hpp"

using namespace braid;
using bench::Clock;
using bench::Floors;
using bench::ReferenceModel;
using bench::Rows;
using bench::seconds_since;
using nlohmann::json;

namespace {

// Before the weights have learnt all there is and gradients vanish.
constexpr std::int64_t kMaxSteps = 1000;
constexpr double kWarmSeconds = 0.05;
constexpr std::size_t kWarmSteps = 50;
constexpr int kNoDevice = 3;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Times of each of `count` items, taken in turn by step(number).
template <class Step>
json timed(std::size_t count, double seconds, const Step& step) {
  auto start = Clock::now();
  const std::size_t warm = std::max(count, kWarmSteps);
  for (std::size_t i = 0; i < warm && (i < 2 || seconds_since(start) < kWarmSeconds); ++i)
    step(i % count);
  std::vector<std::vector<double>> times(count);
  start = Clock::now();
  std::int64_t steps = 0;
  while (steps == 0 || (seconds_since(start) < seconds && steps < kMaxSteps)) {
    for (std::size_t i = 0; i < count; ++i, ++steps) {
      const auto begin = Clock::now();
      step(i);
      times[i].push_back(seconds_since(begin) * 1e6);
    }
  }
  json least = json::array();
  json middle = json::array();
  for (const std::vector<double>& of_one : times) {
    least.push_back(*std::min_element(of_one.begin(), of_one.end()));
    middle.push_back(median(of_one));
  }
  return {{"least", least}, {"median", middle}, {"steps", steps}};
}

std::vector<Rows> batches_of(const Rows& rows, std::int64_t batch, std::int64_t count) {
  std::vector<Rows> batches;
  for (std::int64_t i = 0; i < count; ++i)
    batches.push_back(rows.slice(i * batch, (i + 1) * batch));
  return batches;
}

json write(const std::string& folder, std::istream& names) {
  for (std::string name; names >> name;) {
    const ReferenceModel& reference = ReferenceModel::named(name);
    const std::filesystem::path path = folder;
    write_npz(path / (name + ".npz"), reference.arrays());
    write_npz(path / (name + "-weights.npz"), reference.make().get_weights());
  }
  return {{"written", folder}};
}

json losses(const ReferenceModel& reference, const std::vector<Rows>& batches, std::int64_t steps) {
  Model model = reference.make();
  json values = json::array();
  for (std::int64_t i = 0; i < steps; ++i) {
    const Rows& batch = batches[static_cast<std::size_t>(i) % batches.size()];
    values.push_back(model.train_on_batch(batch.x, batch.y)["loss"]);
  }
  return {{"losses", values}};
}

json train(const ReferenceModel& reference, const std::vector<Rows>& batches, double seconds) {
  Model model = reference.make();
  return timed(batches.size(), seconds,
               [&](std::size_t i) { model.train_on_batch(batches[i].x, batches[i].y); });
}

json predict(const ReferenceModel& reference, std::int64_t count, double seconds) {
  const Model model = reference.make();
  const std::vector<Rows> rows = batches_of(reference.single(), 1, count);
  return timed(rows.size(), seconds, [&](std::size_t i) { model.predict_on_batch(rows[i].x); });
}

json outputs(const ReferenceModel& reference, std::int64_t count) {
  const Model model = reference.make();
  json values = json::object();
  for (const Rows& row : batches_of(reference.single(), 1, count)) {
    for (const auto& [name, tensor] : model.predict_on_batch(row.x))
      for (const float value : tensor.to_vector<float>()) values[name].push_back(value);
  }
  return {{"outputs", values}};
}

json least_and_median(const std::vector<double>& values) {
  return {{"least", {*std::min_element(values.begin(), values.end())}},
          {"median", {median(values)}}};
}

// Of steps within one fit, blocks of epochs: what comes before its first epochs is not in it.
json fit(const ReferenceModel& reference, std::int64_t batch, std::int64_t count, double seconds,
         std::int64_t at_once) {
  const bench::FitTimes times = bench::times_within_fit(reference, batch, count, at_once, seconds);
  json answer = least_and_median(times.block);
  answer["steps"] = static_cast<std::int64_t>(times.step.size()) * count;
  return answer;
}

json epochs(const ReferenceModel& reference, std::int64_t batch, std::int64_t count,
            std::int64_t at_once, double seconds) {
  const bench::FitTimes times = bench::times_within_fit(reference, batch, count, at_once, seconds);
  json answer = least_and_median(times.step);
  answer["host"] = least_and_median(times.host);
  answer["processor"] = least_and_median(times.processor);
  answer["steps"] = static_cast<std::int64_t>(times.step.size()) * count;
  return answer;
}

json upload(const std::vector<Rows>& batches) {
  double bytes = 0;
  for (const Rows& batch : batches) {
    for (const TensorDict& tensors : {batch.x, batch.y}) {
      for (const auto& [name, tensor] : tensors)
        bytes += static_cast<double>(tensor.bytes()) / static_cast<double>(batches.size());
    }
  }
  const double rate = bench::uploaded_bytes_per_second(default_device());
  return {{"bytes", bytes}, {"us", bytes / rate * 1e6}};
}

json spin(double seconds) {
  const auto start = Clock::now();
  while (default_device() != Device::cpu() && seconds_since(start) < seconds)
    bench::copied_bytes_per_second(default_device());
  return json::object();
}

json memory(const ReferenceModel& reference, const Rows& batch) {
  const bench::StepMemory memory = bench::memory_of_step(reference, batch);
  return {{"arena", memory.arena}, {"scratch", memory.scratch}};
}

json facts(const ReferenceModel& reference, const std::vector<Rows>& batches) {
  Model model = reference.make();
  for (const Rows& batch : batches) model.train_on_batch(batch.x, batch.y);
  std::int64_t most = 0;
  std::int64_t first_round = 0;
  std::int64_t last_round = 0;
  constexpr int kRounds = 4;
  for (int round = 0; round < kRounds; ++round) {
    last_round = 0;
    for (const Rows& batch : batches) {
      const std::int64_t before = braid::testing::heap_requests();
      model.train_on_batch(batch.x, batch.y);
      const std::int64_t asked = braid::testing::heap_requests() - before;
      most = std::max(most, asked);
      last_round += asked;
    }
    if (round == 0) first_round = last_round;
  }
  const Model::StepFacts facts = model.step_facts();
  return {{"op_calls", facts.op_calls},
          {"arena_bytes", facts.arena_bytes},
          {"heap", most},
          {"heap_grows", last_round > first_round}};
}

json prediction_facts(const ReferenceModel& reference, std::int64_t count) {
  const Model model = reference.make();
  std::int64_t most = 0;
  for (int round = 0; round < 3; ++round) {
    for (const Rows& row : batches_of(reference.single(), 1, count)) {
      const std::int64_t before = braid::testing::heap_requests();
      model.predict_on_batch(row.x);
      if (round > 0) most = std::max(most, braid::testing::heap_requests() - before);
    }
  }
  return {{"heap", most}};
}

json floor_of(Floors& floors, const ReferenceModel& reference, std::int64_t batch,
              std::int64_t count) {
  std::vector<bench::Work> works;
  if (batch == 0) {
    for (const Rows& row : batches_of(reference.single(), 1, count))
      works.push_back(reference.prediction_work(row));
  } else {
    for (const Rows& rows : batches_of(reference.training(), batch, count))
      works.push_back(reference.training_work(rows));
  }
  const bench::Floor floor = floors.of(works);
  return {{"operations", floor.work.operations},
          {"bytes", floor.work.bytes},
          {"operations_per_second", floor.operations_per_second},
          {"bytes_per_second", floor.bytes_per_second},
          {"operations_us", floor.operations_us()},
          {"bytes_us", floor.bytes_us()},
          {"floor_us", std::max(floor.operations_us(), floor.bytes_us())}};
}

json answer(const std::string& line, Floors& floors) {
  std::istringstream words(line);
  std::string request, name;
  words >> request >> name;
  if (request == "write") return write(name, words);
  if (request == "spin") return spin(std::stod(name));
  const ReferenceModel& reference = ReferenceModel::named(name);
  std::int64_t batch = 0;
  std::int64_t count = 1;
  double last = 0;  // seconds, or steps, or steps of a launch
  if (request != "predict" && request != "outputs") words >> batch;
  words >> count >> last;
  if (request == "outputs") return outputs(reference, count);
  if (request == "predict") return predict(reference, count, last);
  if (request == "floor") return floor_of(floors, reference, batch, count);
  if (request == "fit") return fit(reference, batch, count, last, 1);
  if (request == "fit-many") return fit(reference, batch, count, last, count);
  if (request == "epochs") {
    double seconds = 0;
    words >> seconds;
    return epochs(reference, batch, count, static_cast<std::int64_t>(last), seconds);
  }
  if (request == "facts" && batch == 0) return prediction_facts(reference, count);
  const std::vector<Rows> batches = batches_of(reference.training(), batch, count);
  if (request == "facts") return facts(reference, batches);
  if (request == "upload") return upload(batches);
  if (request == "memory") return memory(reference, batches.front());
  if (request == "train") return train(reference, batches, last);
  if (request == "digest")
    return {{"digest", bench::digest_of_training(reference, batch, batches,
                                                 static_cast<std::int64_t>(last))}};
  if (request == "losses") return losses(reference, batches, static_cast<std::int64_t>(last));
  throw NameError("unknown request \"" + request + "\"");
}

void reply(const json& value) { std::cout << value.dump() << std::endl; }

struct Options {
  std::string device = "cpu";
  Precision precision = Precision::float32;
  std::string ask;
  bool large = false;
};

Options read_options(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == count) throw NameError(word + " wants a value");
      return words[++i];
    };
    if (word == "--large") {
      options.large = true;
    } else if (word == "--device") {
      options.device = value();
    } else if (word == "--precision") {
      options.precision = bench::precision_named<Precision>(value());
    } else if (word == "--ask") {
      options.ask = value();
    } else {
      throw NameError("unknown option \"" + word + "\"");
    }
  }
  return options;
}

std::string described_device() {
  if (default_device() != Device::cpu()) return bench::facts_of(default_device()).name;
  return std::string(kernels::name_of(kernels::best_backend())) + ", threads at most " +
         std::to_string(thread_count());
}

json answered(const std::string& line, Floors& floors) {
  try {
    return answer(line, floors);
  } catch (const std::exception& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

int main(int count, char** words) {
  Options options;
  try {
    options = read_options(count, words);
    ReferenceModel::set_precision(options.precision);
    set_default_device(Device::named(options.device));
  } catch (const DeviceError& error) {
    reply({{"error", std::string("no device: ") + error.what()}});
    return kNoDevice;
  } catch (const std::exception& error) {
    reply({{"error", error.what()}});
    return 2;
  }
  if (options.large) ReferenceModel::make_large_data();
  Floors floors;
  if (!options.ask.empty()) {
    const json value = answered(options.ask, floors);
    reply(value);
    return value.contains("error") ? 1 : 0;
  }
  reply({{"name", "Braid"}, {"detail", described_device()}});
  for (std::string line; std::getline(std::cin, line);) reply(answered(line, floors));
}
