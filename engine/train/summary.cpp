#include <algorithm>
#include <array>
#include <map>

#include "engine/train/functional.hpp"
#include "engine/train/model.hpp"

namespace braid {
namespace {

using Row = std::array<std::string, 4>;

std::string with_commas(std::int64_t number) {
  std::string text = std::to_string(number);
  for (auto place = static_cast<std::int64_t>(text.size()) - 3; place > 0; place -= 3) {
    text.insert(static_cast<std::size_t>(place), ",");
  }
  return text;
}

// Many sources go on in further lines of their column.
constexpr std::size_t kSourceColumns = 36;

void append_source(std::string& sources, const std::string& name) {
  const std::size_t line = sources.size() - (sources.rfind('\n') + 1);
  if (!sources.empty()) sources += line + name.size() > kSourceColumns ? ",\n" : ", ";
  sources += name;
}

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    longest = std::max(longest, end - begin);
    begin = end + 1;
  }
  return longest;
}

Row row_of(const Functional& model, const std::shared_ptr<LayerBase>& layer) {
  std::string shape;
  std::string sources;
  for (const auto& node : model.nodes()) {
    if (node->layer != layer) continue;
    if (shape.empty()) shape = to_string(node->outputs.front().info.shape);
    for (const SymbolicTensor& input : node->inputs) append_source(sources, input.name());
  }
  if (!layer->built() && !layer->is_input()) shape = "unbuilt";
  return {layer->name + " (" + layer->class_name() + ")", shape,
          with_commas(Layer(layer).count_params()), sources.empty() ? "-" : sources};
}

// Of each weight, whether it is trained: one that is shared is, if it is anywhere.
void find_trained(const LayerBase& layer, bool trainable,
                  std::map<const Variable*, bool>& trained) {
  trainable = trainable && layer.trainable;
  for (const auto& variable : layer.variables()) {
    bool& found = trained[variable.get()];
    found = found || (trainable && variable->trainable);
  }
  for (const auto& inner : layer.sublayers()) find_trained(*inner, trainable, trained);
}

}  // namespace

std::string Model::summary() const {
  const Functional& model = functional();
  std::vector<Row> rows{{"Layer (type)", "Output shape", "Param #", "Connected to"}};
  for (const auto& layer : model.sublayers()) rows.push_back(row_of(model, layer));
  std::array<std::size_t, 4> widths{};
  for (const Row& row : rows) {
    for (std::size_t column = 0; column < row.size(); ++column)
      widths[column] = std::max(widths[column], longest_line(row[column]));
  }
  const std::size_t width = widths[0] + widths[1] + widths[2] + widths[3] + 6;
  std::string text =
      "Model: \"" + (model.name.empty() ? std::string("model") : model.name) + "\"\n";
  for (std::size_t number = 0; number < rows.size(); ++number) {
    std::string line;
    for (std::size_t column = 0; column < 3; ++column) {
      const std::string padding(widths[column] - rows[number][column].size(), ' ');
      line +=
          (column == 2 ? padding + rows[number][column] : rows[number][column] + padding) + "  ";
    }
    const std::string indent(line.size(), ' ');
    for (const char c : rows[number][3]) line += c == '\n' ? "\n" + indent : std::string(1, c);
    text += line + "\n";
    if (number == 0) text += std::string(width, '-') + "\n";
  }
  std::map<const Variable*, bool> weights;
  find_trained(model, true, weights);
  std::int64_t trained = 0;
  std::int64_t frozen = 0;
  for (const auto& [variable, is_trained] : weights)
    (is_trained ? trained : frozen) += variable->shape.elements();
  text += std::string(width, '-') + "\n";
  text += "Total params: " + with_commas(trained + frozen) +
          "\nTrainable params: " + with_commas(trained) +
          "\nNon-trainable params: " + with_commas(frozen) + "\n";
  return text;
}

}  // namespace braid
