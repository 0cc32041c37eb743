#include "engine/io/npz.hpp"

#include <zip.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <memory>

#include "engine/core/error.hpp"
#include "engine/io/atomic_file.hpp"
#include "engine/io/npy_header.hpp"

namespace braid {
namespace {

// Of a binary16: sign, 5 bits of exponent, 10 of fraction.
float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = half >> 10 & 0x1FU;
  const std::uint32_t fraction = half & 0x3FFU;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | fraction << 13);
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign == 0 ? magnitude : -magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

template <class Bits>
Bits load(const std::byte* bytes, bool swapped) {
  std::byte ordered[sizeof(Bits)];
  std::memcpy(ordered, bytes, sizeof(Bits));
  if (swapped) std::reverse(ordered, ordered + sizeof(Bits));
  return std::bit_cast<Bits>(ordered);
}

// Element i of the file goes to place(i) of the tensor.
template <class Bits, class Element, class Convert>
void fill(Tensor& tensor, const std::byte* bytes, const NpyHeader& header, const Convert& convert) {
  auto* out = reinterpret_cast<Element*>(tensor.raw());
  const std::int64_t count = tensor.elements();
  const Shape& shape = tensor.shape();
  const std::size_t rank = shape.rank();
  if (!header.fortran_order || rank < 2) {
    for (std::int64_t i = 0; i < count; ++i) {
      out[i] =
          convert(load<Bits>(bytes + i * static_cast<std::int64_t>(sizeof(Bits)), header.swapped));
    }
    return;
  }
  std::vector<std::int64_t> stride(rank, 1);  // in the tensor
  for (std::size_t axis = rank - 1; axis-- > 0;) stride[axis] = stride[axis + 1] * shape[axis + 1];
  std::vector<Dim> at(rank, 0);
  std::int64_t place = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    out[place] =
        convert(load<Bits>(bytes + i * static_cast<std::int64_t>(sizeof(Bits)), header.swapped));
    for (std::size_t axis = 0; axis < rank; ++axis) {  // the first axis runs fastest
      place += stride[axis];
      if (++at[axis] < shape[axis]) break;
      place -= stride[axis] * shape[axis];
      at[axis] = 0;
    }
  }
}

Tensor parse_npy(const std::string& where, const std::vector<std::byte>& content) {
  const NpyHeader header = read_npy_header(where, content);
  Tensor tensor = Tensor::uninitialized(header.shape, header.tensor_dtype());
  const std::byte* bytes = content.data() + header.data_offset;
  const auto as_it_is = [](auto value) { return value; };
  const auto widen = [](auto value) { return static_cast<std::int32_t>(value); };
  switch (header.kind) {
    case NpyKind::float16: fill<std::uint16_t, float>(tensor, bytes, header, half_to_float); break;
    case NpyKind::float32: fill<float, float>(tensor, bytes, header, as_it_is); break;
    case NpyKind::float64:
      fill<double, float>(tensor, bytes, header,
                          [](double value) { return static_cast<float>(value); });
      break;
    case NpyKind::int8: fill<std::int8_t, std::int32_t>(tensor, bytes, header, widen); break;
    case NpyKind::int16: fill<std::int16_t, std::int32_t>(tensor, bytes, header, widen); break;
    case NpyKind::uint16: fill<std::uint16_t, std::int32_t>(tensor, bytes, header, widen); break;
    case NpyKind::int32: fill<std::int32_t, std::int32_t>(tensor, bytes, header, as_it_is); break;
    case NpyKind::int64: fill<std::int64_t, std::int64_t>(tensor, bytes, header, as_it_is); break;
    case NpyKind::uint8: fill<std::uint8_t, std::uint8_t>(tensor, bytes, header, as_it_is); break;
    case NpyKind::boolean:
      fill<std::uint8_t, std::uint8_t>(tensor, bytes, header, [](std::uint8_t value) {
        return static_cast<std::uint8_t>(value != 0);
      });
      break;
  }
  return tensor;
}

std::vector<std::byte> npy_bytes(const std::string& path, const Tensor& tensor) {
  if (tensor.is_ragged()) throw ShapeError("\"" + path + "\": a ragged tensor is no numpy array");
  const std::string header = write_npy_header(tensor);
  std::vector<std::byte> bytes(header.size() + tensor.bytes());
  std::memcpy(bytes.data(), header.data(), header.size());
  if (tensor.bytes() > 0) std::memcpy(bytes.data() + header.size(), tensor.raw(), tensor.bytes());
  return bytes;
}

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseFile {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
struct FreeSource {
  void operator()(zip_source_t* source) const { zip_source_free(source); }
};
using Archive = std::unique_ptr<zip_t, Discard>;
using Source = std::unique_ptr<zip_source_t, FreeSource>;

std::string reason_of(zip_error_t& error) {
  std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  return reason;
}

Archive open_archive(const std::string& path, std::vector<std::byte>& content) {
  zip_error_t error;
  zip_error_init(&error);
  Source source(zip_source_buffer_create(content.data(), content.size(), 0, &error));
  if (!source) throw OutOfMemory("\"" + path + "\": " + reason_of(error));
  Archive archive(zip_open_from_source(source.get(), ZIP_RDONLY | ZIP_CHECKCONS, &error));
  if (!archive) throw FormatError("\"" + path + "\" is no zip archive: " + reason_of(error));
  static_cast<void>(source.release());  // the archive's now
  return archive;
}

std::vector<std::byte> entry_bytes(const std::string& where, zip_t* archive, zip_uint64_t index,
                                   zip_uint64_t size) {
  if (size > std::numeric_limits<std::uint32_t>::max() * 64ULL)
    throw FormatError(where + ": an impossible size");
  std::unique_ptr<zip_file_t, CloseFile> file(zip_fopen_index(archive, index, 0));
  if (!file) throw FormatError(where + ": " + zip_strerror(archive));
  std::vector<std::byte> bytes;
  std::vector<std::byte> piece(1 << 16);
  // In pieces: a damaged directory may tell any size.
  while (true) {
    const zip_int64_t got = zip_fread(file.get(), piece.data(), piece.size());
    if (got < 0) throw FormatError(where + ": " + zip_file_strerror(file.get()));
    if (got == 0) break;
    bytes.insert(bytes.end(), piece.begin(), piece.begin() + got);
    if (bytes.size() > size)
      throw FormatError(where + ": more data than the archive's directory tells");
  }
  if (bytes.size() != size) {
    throw FormatError(where + ": " + std::to_string(bytes.size()) + " of " + std::to_string(size) +
                      " bytes are there");
  }
  return bytes;
}

void add_array(const std::string& path, zip_t* archive, zip_uint64_t index, TensorDict& tensors) {
  zip_stat_t entry;
  if (zip_stat_index(archive, index, 0, &entry) != 0 ||
      (entry.valid & (ZIP_STAT_NAME | ZIP_STAT_SIZE)) != (ZIP_STAT_NAME | ZIP_STAT_SIZE)) {
    throw FormatError("\"" + path + "\": entry " + std::to_string(index) + " cannot be read");
  }
  std::string name = entry.name;
  const std::string where = "\"" + path + "\", \"" + name + "\"";
  if (name.ends_with(".npy")) name.resize(name.size() - 4);
  if (tensors.contains(name)) throw FormatError(where + ": there are two arrays of this name");
  tensors.set(name, parse_npy(where, entry_bytes(where, archive, index, entry.size)));
}

}  // namespace

Tensor read_npy(const std::string& path) { return parse_npy("\"" + path + "\"", read_file(path)); }

TensorDict read_npz(const std::string& path) {
  std::vector<std::byte> content = read_file(path);
  // To libzip a file of nothing is an archive of nothing.
  if (content.empty()) throw FormatError("\"" + path + "\" is no zip archive: it is empty");
  const Archive archive = open_archive(path, content);
  TensorDict tensors;
  const zip_int64_t entries = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < entries; ++i)
    add_array(path, archive.get(), static_cast<zip_uint64_t>(i), tensors);
  return tensors;
}

void write_npy(const std::string& path, const Tensor& tensor) {
  const std::vector<std::byte> bytes = npy_bytes(path, tensor);
  write_atomically(path, {bytes});
}

void write_npz(const std::string& path, const TensorDict& tensors) {
  // The pieces must outlive the archive, which reads them when it is closed.
  std::vector<std::vector<std::byte>> pieces;
  for (const auto& [name, tensor] : tensors) pieces.push_back(npy_bytes(path, tensor));
  zip_error_t error;
  zip_error_init(&error);
  Source whole(zip_source_buffer_create(nullptr, 0, 0, &error));
  if (!whole) throw IoError("\"" + path + "\": " + reason_of(error));
  zip_source_keep(whole.get());
  Archive archive(zip_open_from_source(whole.get(), ZIP_TRUNCATE, &error));
  if (!archive) {
    zip_source_free(whole.get());
    throw IoError("\"" + path + "\": " + reason_of(error));
  }
  std::size_t number = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::vector<std::byte>& bytes = pieces[number++];
    zip_source_t* source = zip_source_buffer(archive.get(), bytes.data(), bytes.size(), 0);
    if (source == nullptr) throw IoError("\"" + path + "\": " + zip_strerror(archive.get()));
    const zip_int64_t index =
        zip_file_add(archive.get(), (name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      throw IoError("\"" + path + "\": " + zip_strerror(archive.get()));
    }
    zip_set_file_compression(archive.get(), static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
  }
  if (zip_close(archive.get()) != 0)
    throw IoError("\"" + path + "\": " + zip_strerror(archive.get()));
  static_cast<void>(archive.release());  // closed
  zip_stat_t written;
  std::vector<std::byte> bytes;
  if (zip_source_stat(whole.get(), &written) == 0 && zip_source_open(whole.get()) == 0) {
    bytes.resize(written.size);
    const zip_int64_t got = zip_source_read(whole.get(), bytes.data(), bytes.size());
    zip_source_close(whole.get());
    if (got != static_cast<zip_int64_t>(bytes.size())) bytes.clear();
  }
  if (bytes.empty()) throw IoError("\"" + path + "\": the archive could not be put together");
  write_atomically(path, {bytes});
}

}  // namespace braid
