#pragma once
#include <braid/dataset.hpp>
#include <braid/error.hpp>
#include <braid/random.hpp>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "data_file.hpp"

constexpr int kSpeakers = 9;
constexpr int kFeatures = 12;

// Utterances as ragged columns "utterance" [rows, steps, 12] and "speaker" [rows]: the steps of all
// utterances one after another, and where each ends.
class Utterances {
 public:
  void add_step(const std::vector<float>& features) {
    steps_.insert(steps_.end(), features.begin(), features.end());
  }
  void end_utterance(int speaker) {
    row_splits_.push_back(static_cast<std::int64_t>(steps_.size()) / kFeatures);
    speakers_.push_back(speaker);
  }
  braid::Dataset dataset() const {
    const auto values = braid::Tensor::from(steps_, {row_splits_.back(), kFeatures});
    const auto rows = static_cast<braid::Dim>(speakers_.size());
    return braid::Dataset::from({{"utterance", braid::Tensor::ragged(values, row_splits_)}},
                                {{"speaker", braid::Tensor::from(speakers_, {rows})}});
  }

 private:
  std::vector<float> steps_;
  std::vector<std::int64_t> row_splits_{0};
  std::vector<std::int32_t> speakers_;
};

// A .ts file of the Japanese Vowels: a line holds the features one after another, split by ':',
// each with its steps split by ','; the speaker, from 1, comes last.
inline braid::Dataset read_utterances(const std::string& folder, const std::string& part) {
  const std::string name = data_file(folder, "JapaneseVowels_" + part + ".ts");
  std::ifstream file(name);
  if (!file) throw braid::IoError("cannot read \"" + name + "\"");
  Utterances read;
  std::int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.find_first_not_of(" \r") == std::string::npos || line[0] == '#' || line[0] == '@')
      continue;
    const auto refuse = [&](const std::string& what) {
      throw braid::FormatError("\"" + name + "\": line " + std::to_string(number) + " has " + what);
    };
    std::vector<std::vector<float>> features;
    std::istringstream parts(line);
    for (std::string part_text; std::getline(parts, part_text, ':');) {
      features.emplace_back();
      std::istringstream numbers(part_text);
      for (std::string text; std::getline(numbers, text, ',');) {
        std::istringstream one(text);
        if (!(one >> features.back().emplace_back())) refuse("\"" + text + "\" for a number");
      }
      if (features.back().size() != features.front().size() && features.size() <= kFeatures)
        refuse("features of different lengths");
    }
    if (features.size() != kFeatures + 1)
      refuse(std::to_string(features.size()) + " parts, not 13");
    for (std::size_t step = 0; step < features.front().size(); ++step) {
      std::vector<float> values;
      for (std::size_t feature = 0; feature < kFeatures; ++feature)
        values.push_back(features[feature][step]);
      read.add_step(values);
    }
    const auto speaker = static_cast<int>(features.back().front());
    if (speaker < 1 || speaker > kSpeakers) refuse("the speaker " + std::to_string(speaker));
    read.end_utterance(speaker - 1);
  }
  return read.dataset();
}

// Every speaker has a tune of its own, sung at any speed and never quite clean.
inline braid::Dataset make_utterances(std::int64_t rows, std::uint64_t seed) {
  braid::Random random(seed);
  Utterances made;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto speaker = static_cast<int>(random.below(kSpeakers));
    const double speed = 0.2 + 0.2 * static_cast<double>(random.uniform());
    const auto length = 7 + random.below(23);
    for (std::size_t step = 0; step < length; ++step) {
      std::vector<float> values;
      for (int feature = 0; feature < kFeatures; ++feature) {
        const double phase = 0.7 * speaker * (feature % 4) + 0.4 * feature;
        const double tone = std::sin(speed * static_cast<double>(step) + phase);
        values.push_back(static_cast<float>(0.5 * tone + 0.5 * random.normal()));
      }
      made.add_step(values);
    }
    made.end_utterance(speaker);
  }
  return made.dataset();
}
