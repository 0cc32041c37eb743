#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <braid/count.hpp>
#include <braid/tensor.hpp>

namespace braid::text {

struct VectorizerOptions {
  Count max_tokens = 0;       // size of the vocabulary, padding and unknown counted; 0: no limit
  Count sequence_length = 0;  // longer texts are cut; 0: no limit
  bool lower = true;          // A-Z become a-z
  bool strip_punctuation = true;
};

// Turns texts into rows of word ids: lower case, without punctuation, split at white space. Id 0 is
// padding, id 1 a word that the vocabulary does not have, ids from 2 the words by falling count,
// equal counts in reverse alphabetical order. As keras.layers.TextVectorization.
class Vectorizer {
 public:
  explicit Vectorizer(VectorizerOptions options = {});

  // Learns the vocabulary of these texts; what was learnt before is forgotten.
  void adapt(const std::vector<std::string>& texts);
  // Ragged int32 ids, one row a text; the row of a text without a word has no step. NameError
  // before a vocabulary is learnt.
  Tensor operator()(const std::vector<std::string>& texts) const;

  // The words by id, "" and "[UNK]" first.
  const std::vector<std::string>& vocabulary() const { return words_; }
  // For the input_dim of an Embedding.
  std::int64_t vocabulary_size() const { return static_cast<std::int64_t>(words_.size()); }
  // A vocabulary learnt elsewhere, as vocabulary() gives it. NameError if a word is there twice or
  // the first two are others.
  void set_vocabulary(std::vector<std::string> words);

 private:
  void split(const std::string& text, std::vector<std::string>& words) const;

  VectorizerOptions options_;
  std::vector<std::string> words_;
  std::unordered_map<std::string, std::int32_t> ids_;
};

}  // namespace braid::text
