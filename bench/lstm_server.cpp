#include "bench/lstm_server.hpp"

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

// Answers requests. The layer of the last size stays on the device, and recorded, as it is asked
// about again and again.
class LstmServer {
 public:
  LstmServer(Device device, Precision precision)
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
    throw NameError("unknown request \"" + line + "\"");
  }

 private:
  struct Kept {
    Operands operands;
    LstmLayer layer;
    std::optional<Recording> forward = {};
    std::optional<Recording> both = {};
  };

  json spin() {
    ceilings_.copied = spin_up(device_);
    return {{"bytes_per_second", ceilings_.copied}};
  }

  Kept& layer_of(const LstmSize& size) {
    if (!kept_ || kept_->layer.size != size) {
      kept_.reset();  // there may not be memory for two
      Operands operands(device_, precision_, false);
      LstmLayer layer = lstm_layer(operands, size, Passes::both);
      kept_.emplace(Kept{std::move(operands), std::move(layer)});
    }
    return *kept_;
  }

  json times_of(Kept& kept) {
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
  std::optional<Kept> kept_;
};

void reply(const json& value) { std::cout << value.dump() << std::endl; }

}  // namespace

void serve_lstms(Device device, Precision precision) {
  LstmServer server(device, precision);
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
