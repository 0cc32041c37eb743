#pragma once
#include <braid/error.hpp>
#include <filesystem>
#include <string>

// The file that --data means: the path itself, or in a folder the file of this name, gzipped or
// not.
inline std::string data_file(const std::string& path, const std::string& name) {
  if (!std::filesystem::exists(path)) throw braid::IoError("--data: there is no \"" + path + "\"");
  if (!std::filesystem::is_directory(path)) return path;
  const auto inside = std::filesystem::path(path) / name;
  for (const char* ending : {"", ".gz"}) {
    if (std::filesystem::exists(inside.string() + ending)) return inside.string() + ending;
  }
  throw braid::IoError("--data: the folder \"" + path + "\" holds no " + name);
}
