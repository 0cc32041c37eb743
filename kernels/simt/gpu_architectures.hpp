#pragma once
#include <string>
#include <string_view>

// For which GPUs a build has kernels.
namespace braid::simt {

// The first whose code uses matrix units for tf32 and bfloat16.
constexpr int kFirstWithMatrixUnits = 80;

// Whether code for one architecture, as CMake writes it ("90a-real", "120-virtual", "89"), runs on
// a GPU of that compute capability: machine code on later GPUs of the same generation, PTX on all
// later ones, what bears a letter on its own alone. What CMake lets nvcc find out ("native", "all")
// is taken to be the GPU's own. Code for architectures before `first` does not count.
inline bool architecture_runs_on(std::string_view architecture, int major, int minor,
                                 int first = 0) {
  int version = 0;
  std::size_t digits = 0;
  for (; digits < architecture.size() && architecture[digits] >= '0' && architecture[digits] <= '9';
       ++digits)
    version = 10 * version + (architecture[digits] - '0');
  const int own = 10 * major + minor;
  if (digits == 0) return own >= first;
  if (version < first) return false;
  const std::string_view rest = architecture.substr(digits);
  const bool has_letter = !rest.empty() && rest.front() != '-';
  if (has_letter) return own == version;
  const bool has_machine_code = rest != "-virtual";
  const bool has_ptx = rest != "-real";
  return (has_ptx && own >= version) ||
         (has_machine_code && major == version / 10 && minor >= version % 10);
}

// Of a list of them, separated by commas.
inline bool architectures_run_on(std::string_view list, int major, int minor, int first = 0) {
  while (!list.empty()) {
    const std::size_t end = list.find(',');
    if (architecture_runs_on(list.substr(0, end), major, minor, first)) return true;
    list = end == std::string_view::npos ? std::string_view{} : list.substr(end + 1);
  }
  return false;
}

}  // namespace braid::simt
