#include "engine/data/vectorizer.hpp"

#include <algorithm>

#include "engine/core/error.hpp"

namespace braid::text {
namespace {

constexpr std::string_view kPunctuation = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'";
constexpr std::string_view kWhiteSpace = " \t\n\r\f\v";
constexpr std::int32_t kUnknown = 1;

bool is_in(std::string_view set, char c) { return set.find(c) != std::string_view::npos; }

}  // namespace

Vectorizer::Vectorizer(VectorizerOptions options) : options_(options) {
  if (options_.max_tokens != 0 && options_.max_tokens < 2) {
    throw RangeError(
        "Vectorizer: max_tokens counts padding and unknown, so it is 0 or at least 2, not " +
        std::to_string(static_cast<std::int64_t>(options_.max_tokens)));
  }
  if (options_.sequence_length < 0) {
    throw RangeError("Vectorizer: sequence_length must not be " +
                     std::to_string(static_cast<std::int64_t>(options_.sequence_length)));
  }
}

void Vectorizer::split(const std::string& text, std::vector<std::string>& words) const {
  words.clear();
  std::string word;
  for (char c : text) {
    if (is_in(kWhiteSpace, c)) {
      if (!word.empty()) words.push_back(std::move(word));
      word.clear();
    } else if (!options_.strip_punctuation || !is_in(kPunctuation, c)) {
      word += options_.lower && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
}

void Vectorizer::adapt(const std::vector<std::string>& texts) {
  std::unordered_map<std::string, std::int64_t> counts;
  std::vector<std::string> words;
  for (const std::string& text : texts) {
    split(text, words);
    for (const std::string& word : words) ++counts[word];
  }
  std::vector<std::pair<std::int64_t, std::string>> ranked;
  for (const auto& [word, count] : counts) ranked.emplace_back(count, word);
  std::sort(ranked.begin(), ranked.end(), std::greater<>());
  std::vector<std::string> vocabulary{"", "[UNK]"};
  for (const auto& [count, word] : ranked) {
    if (options_.max_tokens != 0 &&
        static_cast<std::int64_t>(vocabulary.size()) >= options_.max_tokens)
      break;
    if (word != vocabulary[1]) vocabulary.push_back(word);
  }
  set_vocabulary(std::move(vocabulary));
}

void Vectorizer::set_vocabulary(std::vector<std::string> words) {
  if (words.size() < 2 || !words[0].empty() || words[1] != "[UNK]") {
    throw NameError("a vocabulary begins with \"\" (padding) and \"[UNK]\" (unknown)");
  }
  std::unordered_map<std::string, std::int32_t> ids;
  for (std::size_t id = 2; id < words.size(); ++id) {
    if (!ids.emplace(words[id], static_cast<std::int32_t>(id)).second) {
      throw NameError("the vocabulary has the word \"" + words[id] + "\" twice");
    }
  }
  words_ = std::move(words);
  ids_ = std::move(ids);
}

Tensor Vectorizer::operator()(const std::vector<std::string>& texts) const {
  if (words_.empty())
    throw NameError("the Vectorizer has no vocabulary yet; call adapt() or set_vocabulary() first");
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> row_splits{0};
  std::vector<std::string> words;
  for (const std::string& text : texts) {
    split(text, words);
    const auto limit = static_cast<std::size_t>(options_.sequence_length);
    const std::size_t count = limit == 0 ? words.size() : std::min(limit, words.size());
    for (std::size_t i = 0; i < count; ++i) {
      const auto found = ids_.find(words[i]);
      ids.push_back(found == ids_.end() ? kUnknown : found->second);
    }
    row_splits.push_back(static_cast<std::int64_t>(ids.size()));
  }
  return Tensor::ragged(ids, std::move(row_splits));
}

}  // namespace braid::text
