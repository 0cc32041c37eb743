#pragma once
#include <memory>
#include <string>
#include <utility>

#include "engine/core/error.hpp"
#include "engine/graph/config.hpp"
#include "engine/graph/layer_base.hpp"

namespace braid::layers {

// A layer made from an option struct with a `name`. Its file writes describe(fields, options), one
// line a field; the config, both ways, follows from that.
template <class Options>
class LayerOf : public LayerBase {
 public:
  LayerOf(const char* class_name, Options options)
      : options_(std::move(options)), class_name_(class_name) {
    name = options_.name;
  }
  std::string class_name() const override { return class_name_; }

 protected:
  void require_positive(const char* option, std::int64_t number) const {
    if (number <= 0) {
      throw RangeError(described() + ": " + option + " must be positive, not " +
                       std::to_string(number));
    }
  }

  // data_format, as Keras has it.
  void require_channels(const std::string& data_format) const {
    if (data_format == "channels_last" || data_format == "channels_first") return;
    throw NameError(described() + ": unknown data_format \"" + data_format +
                    "\"; known are \"channels_last\" and \"channels_first\"");
  }

  Options options_;

 private:
  const char* class_name_;
};

template <class Options>
nlohmann::json written(const Options& options) {
  ConfigWriter writer;
  Options copy = options;
  describe(writer, copy);
  return std::move(writer.config);
}

template <class Made, class Options>
LayerMaker from_options(const char* class_name) {
  return [class_name](const nlohmann::json& config) -> std::shared_ptr<LayerBase> {
    Options options;
    ConfigReader reader(class_name, config);
    describe(reader, options);
    reader.finish();
    return std::make_shared<Made>(std::move(options));
  };
}

}  // namespace braid::layers
