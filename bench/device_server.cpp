#include "bench/device_server.hpp"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include "bench/ceilings.hpp"
#include "bench/device_lstm.hpp"
#include "bench/launch_clock.hpp"
#include "bench/lstm_exchange.hpp"
#include "bench/precision_names.hpp"

namespace bench {

using namespace braid;
using nlohmann::json;

namespace {

LstmSize read_size(std::istream& words) {
  LstmSize size{.sequence = true};
  words >> size.rows >> size.steps >> size.features >> size.units >> size.ragged;
  if (!words) throw NameError("a size is ROWS STEPS FEATURES UNITS RAGGED");
  return size;
}

// Answers requests. What was asked about last stays on the device, and recorded, as it is asked
// about again and again.
class DeviceServer {
 public:
  DeviceServer(Device device, Precision precision)
      : device_(device), precision_(precision), clock_(device), ceilings_{facts_of(device)} {}

  json answer(const std::string& line) {
    std::istringstream words(line);
    std::string request;
    words >> request;
    if (request == "spin") return spin();
    if (request == "write") {
      std::string path;
      words >> path;
      write_lstm(path, device_, layer_of(read_size(words)).layer);
      return {{"written", path}};
    }
    if (request == "lstm") return times_of(layer_of(read_size(words)));
    if (request == "kernel") {
      std::string title;
      std::getline(words >> std::ws, title);
      return times_of(kernel_of(title));
    }
    throw NameError("unknown request \"" + line + "\"");
  }

 private:
  struct KeptLstm {
    Operands operands;
    LstmLayer layer;
    std::optional<Recording> forward = {};
    std::optional<Recording> both = {};
  };

  struct KeptKernel {
    std::string title;  // its name and size
    Operands operands;
    Effort effort = {};
    Recording recording = {};
  };

  json spin() {
    ceilings_.copied = spin_up(device_);
    return {{"bytes_per_second", ceilings_.copied}};
  }

  KeptLstm& layer_of(const LstmSize& size) {
    if (!lstm_ || lstm_->layer.size != size) {
      forget();  // there may not be memory for two
      Operands operands(device_, precision_, false);
      LstmLayer layer = lstm_layer(operands, size, Passes::both);
      lstm_.emplace(KeptLstm{std::move(operands), std::move(layer)});
    }
    return *lstm_;
  }

  KeptKernel& kernel_of(const std::string& title) {
    if (!kernel_ || kernel_->title != title) {
      forget();
      const bool real = device_.kind() == Device::Kind::cuda;
      const auto problems =
          all_problems(real ? kernels::Backend::cuda : kernels::Backend::emulated);
      const auto found = std::find_if(problems.begin(), problems.end(), [&](const Problem& each) {
        return each.kernel + " " + each.size == title && each.present;
      });
      if (found == problems.end()) throw NameError("unknown kernel \"" + title + "\"");
      KeptKernel& kept = kernel_.emplace(KeptKernel{title, Operands(device_, precision_, !real)});
      kept.recording = clock_.record(found->make(kept.operands, kept.effort));
    }
    return *kernel_;
  }

  void forget() {
    lstm_.reset();
    kernel_.reset();
  }

  json times_of(const KeptKernel& kept) {
    if (ceilings_.copied == 0) spin();
    const Time time = clock_.time(kept.recording);
    return {{"least_us", time.least},
            {"median_us", time.median},
            {"floor_us", ceilings_.floor_us(kept.effort)}};
  }

  json times_of(KeptLstm& kept) {
    if (ceilings_.copied == 0) spin();
    json times;
    const auto add = [&](const std::string& name, Passes passes,
                         std::optional<Recording>& recording) {
      if (!recording) recording = clock_.record(launch_of(kept.layer, passes));
      const Time time = clock_.time(*recording);
      times[name + "_us"] = time.least;
      times[name + "_median_us"] = time.median;
      times[name + "_floor_us"] = ceilings_.floor_us(effort_of(kept.layer, passes));
    };
    add("forward", Passes::forward, kept.forward);
    add("both", Passes::both, kept.both);
    return times;
  }

  Device device_;
  Precision precision_;
  LaunchClock clock_;
  Ceilings ceilings_;
  std::optional<KeptLstm> lstm_;
  std::optional<KeptKernel> kernel_;
};

void reply(const json& value) { std::cout << value.dump() << std::endl; }

}  // namespace

void serve_device(Device device, Precision precision) {
  DeviceServer server(device, precision);
  reply({{"name", "Braid"}, {"detail", facts_of(device).name + ", " + name_of(precision)}});
  for (std::string line; std::getline(std::cin, line);) {
    try {
      reply(server.answer(line));
    } catch (const std::exception& error) {
      reply({{"error", error.what()}});
    }
  }
}

}  // namespace bench
