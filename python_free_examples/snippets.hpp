#pragma once
#include <braid/dataset.hpp>
#include <braid/error.hpp>
#include <braid/random.hpp>
#include <fstream>
#include <string>
#include <vector>

#include "data_file.hpp"

// Snippets of film reviews as columns "snippet" (text, tokens split by blanks) and "label" (1: the
// film is liked).
inline braid::Dataset snippets_of(const std::vector<std::string>& snippets,
                                  const std::vector<std::int32_t>& labels) {
  const auto rows = static_cast<braid::Dim>(labels.size());
  return braid::Dataset()
      .with("snippet", snippets)
      .with("label", braid::Tensor::from(labels, {rows, 1}))
      .targets({"label"});
}

// Two files of one snippet a line: rt-polarity.pos and rt-polarity.neg.
inline braid::Dataset read_snippets(const std::string& folder) {
  std::vector<std::string> snippets;
  std::vector<std::int32_t> labels;
  for (const std::int32_t label : {0, 1}) {
    const std::string name = data_file(folder, label == 1 ? "rt-polarity.pos" : "rt-polarity.neg");
    std::ifstream file(name);
    if (!file) throw braid::IoError("cannot read \"" + name + "\"");
    for (std::string line; std::getline(file, line);) {
      snippets.push_back(line);
      labels.push_back(label);
    }
  }
  return snippets_of(snippets, labels);
}

// Snippets of one or three opinions, of which "not" turns one round; the majority decides. Who
// likes a film uses exclamation marks.
inline braid::Dataset make_snippets(std::int64_t rows, std::uint64_t seed) {
  using Words = std::vector<std::string>;
  const Words things{"the plot", "the cast", "the music", "this film", "every scene", "its ending"};
  const Words liked{"funny", "moving", "clever", "gripping", "a delight", "worth seeing"};
  const Words disliked{"dull", "silly", "far too long", "a mess", "flat", "without charm"};
  const Words joints{" , ", " , and ", " , while ", " ; besides , "};
  braid::Random random(seed);
  const auto pick = [&](const Words& from) { return from[random.below(from.size())]; };
  std::vector<std::string> snippets;
  std::vector<std::int32_t> labels;
  for (std::int64_t row = 0; row < rows; ++row) {
    const int opinions = random.below(2) == 0 ? 1 : 3;
    int balance = 0;
    std::string snippet;
    for (int opinion = 0; opinion < opinions; ++opinion) {
      const bool good = random.below(2) == 0;
      const bool turned = random.below(3) == 0;
      balance += good != turned ? 1 : -1;
      snippet += (opinion == 0 ? "" : pick(joints)) + pick(things) +
                 (turned ? " is not " : " is ") + pick(good ? liked : disliked);
    }
    const bool shouts = random.uniform() < (balance > 0 ? 0.4F : 0.1F);
    snippets.push_back(snippet + (shouts ? " !" : " ."));
    labels.push_back(balance > 0 ? 1 : 0);
  }
  return snippets_of(snippets, labels);
}
