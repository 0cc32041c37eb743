#pragma once
#include <braid/dataset.hpp>
#include <braid/error.hpp>
#include <braid/random.hpp>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "data_file.hpp"

// Short messages as columns "message" (text) and "label" (1: spam).
inline braid::Dataset messages_of(const std::vector<std::string>& messages,
                                  const std::vector<std::int32_t>& labels) {
  const auto rows = static_cast<braid::Dim>(labels.size());
  return braid::Dataset()
      .with("message", messages)
      .with("label", braid::Tensor::from(labels, {rows, 1}))
      .targets({"label"});
}

// The SMS spam collection: a line is "spam" or "ham", a tab, the message, in which quotes are only
// quotes. Messages come up to 30 times; they are taken once, lest the test repeat the training.
inline braid::Dataset read_messages(const std::string& path) {
  const std::string name = data_file(path, "sms.tsv");
  std::ifstream file(name);
  if (!file) throw braid::IoError("cannot read \"" + name + "\"");
  std::set<std::string> seen;
  std::vector<std::string> messages;
  std::vector<std::int32_t> labels;
  std::int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const std::string label = line.substr(0, line.find('\t'));
    if (label != "spam" && label != "ham")
      throw braid::FormatError("\"" + name + "\": line " + std::to_string(number) +
                               " does not begin with \"spam\" or \"ham\" and a tab");
    if (!seen.insert(line).second) continue;
    messages.push_back(line.substr(std::min(line.size(), label.size() + 1)));
    labels.push_back(label == "spam" ? 1 : 0);
  }
  return messages_of(messages, labels);
}

// Messages made of phrases. Friends shout and talk of prizes too, now and then.
inline braid::Dataset make_messages(std::int64_t rows, std::uint64_t seed) {
  using Phrases = std::vector<std::string>;
  const Phrases bait{"You have won a prize",    "Claim your free ringtone", "Urgent call now",
                     "Text WIN to this number", "Your mobile was chosen",   "Free entry this week"};
  const Phrases chat{"see you later",           "are you home yet", "ok i will call", "lunch today",
                     "sorry i am running late", "how was the test", "love you"};
  const Phrases both{"let me know", "it is about your phone", "good news", "only today"};
  braid::Random random(seed);
  const auto pick = [&](const Phrases& from) { return from[random.below(from.size())]; };
  std::vector<std::string> messages;
  std::vector<std::int32_t> labels;
  for (std::int64_t row = 0; row < rows; ++row) {
    const bool spam = random.uniform() < 0.3F;
    std::string message;
    for (std::uint64_t phrase = 0, count = 1 + random.below(3); phrase < count; ++phrase) {
      const bool tempting = random.uniform() < (spam ? 0.85F : 0.1F);
      message += random.uniform() < 0.3F ? pick(both) : pick(tempting ? bait : chat);
      message += random.uniform() < (spam ? 0.5F : 0.15F) ? "! " : ". ";
    }
    if (random.uniform() < (spam ? 0.6F : 0.1F))
      message += "0800" + std::to_string(100000 + random.below(900000));
    messages.push_back(message);
    labels.push_back(spam ? 1 : 0);
  }
  return messages_of(messages, labels);
}
