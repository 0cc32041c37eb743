#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include <braid/tensor.hpp>

namespace braid {

// A safetensors file in memory: 8 bytes header length, a JSON header, then the data. Everything is
// checked while it is read; a defect is a FormatError with the file and the key or offset.
class SafetensorsFile {
 public:
  struct Entry {
    std::string name;
    std::string dtype;  // as the file has it: "F32", "F64", "I32", ...
    Shape shape;
    std::span<const std::byte> bytes;
  };

  // Throws IoError, FormatError.
  explicit SafetensorsFile(const std::string& path);

  // In the order of the data.
  const std::vector<Entry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Null if there is none of this name.
  const Entry* find(const std::string& name) const;
  // F64 becomes float32, F32, I32, I64, U8, BOOL stay what they are; DTypeError for others.
  Tensor tensor(const Entry& entry) const;
  TensorDict tensors() const;

 private:
  [[noreturn]] void refuse(const std::string& why) const;
  void read_header(const std::string& header, std::span<const std::byte> data);
  void check_places(std::span<const std::byte> data) const;

  std::string path_;
  std::vector<std::byte> content_;
  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

// Writes the tensors in their order, atomically; the data begin at a multiple of 8 bytes. Throws
// IoError; ShapeError for a ragged tensor.
void write_safetensors(const std::string& path, const TensorDict& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace braid
