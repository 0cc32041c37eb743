#include "tests/support/kernel_launch.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "kernels/gpu_table.hpp"
#include "kernels/simt/emulated_gpu.hpp"
#include "kernels/simt/launch_records.hpp"
#include "tests/support/kernel_proof.hpp"
#include "tests/support/source_folder.hpp"

#if BRAID_WITH_CUDA
namespace braid::simt {
bool gpu_has_matrix_units();  // its header needs CUDA's
}
#endif

namespace braid::testing {
namespace {

Launches& noted() {
  static Launches launches;
  return launches;
}

std::string name_of(const std::type_info& type) {
  int status = 0;
  char* text = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  const std::string name = status == 0 ? text : type.name();
  std::free(text);
  return name.substr(name.rfind(':') + 1);
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

bool tests_emulated() {
  const std::vector<Backend>& tested = tested_backends();
  return std::find(tested.begin(), tested.end(), Backend::emulated) != tested.end();
}

}  // namespace

const std::vector<Backend>& all_backends() {
  static const std::vector<Backend> all{Backend::portable, Backend::avx2, Backend::avx512,
                                        Backend::emulated, Backend::cuda};
  return all;
}

const std::vector<Backend>& tested_backends() {
  static const std::vector<Backend> found = [] {
    // BRAID_TEST_BACKENDS names the only ones, separated by commas.
    const char* wish = std::getenv("BRAID_TEST_BACKENDS");
    std::set<std::string> wished;
    std::istringstream names(wish == nullptr ? "" : wish);
    for (std::string name; std::getline(names, name, ',');) wished.insert(name);
    const bool restricted = !wished.empty();
    std::vector<Backend> supported;
    for (const Backend backend : all_backends()) {
      if (restricted && wished.erase(kernels::name_of(backend)) == 0) continue;
      if (kernels::is_supported(backend)) {
        supported.push_back(backend);
      } else if (restricted) {
        throw std::runtime_error(std::string("BRAID_TEST_BACKENDS names ") +
                                 kernels::name_of(backend) + ", which this machine lacks");
      }
    }
    if (!wished.empty())
      throw std::runtime_error("BRAID_TEST_BACKENDS names the unknown backend " + *wished.begin());
    return supported;
  }();
  return found;
}

Backend gpu_backend() {
  const std::vector<Backend>& tested = tested_backends();
  return std::count(tested.begin(), tested.end(), Backend::cuda) > 0 ? Backend::cuda
                                                                     : Backend::emulated;
}

bool has_matrix_units(Backend backend) {
#if BRAID_WITH_CUDA
  if (backend == Backend::cuda) return simt::gpu_has_matrix_units();
#endif
  return backend == Backend::emulated && simt::emulated_gpu().has_matrix_units();
}

const Launches& launches() { return noted(); }

void note_launch(const std::type_info& arguments, Backend backend) {
  noted().insert({name_of(arguments), backend});
}

const simt::Schedule& next_schedule() {
  static const simt::Schedule in_turn{simt::Order::in_turn};
  return in_turn;
}

std::vector<DeclaredKernel> kernels_declared_in(const std::string& header) {
  static const std::regex declaration(R"((^|\n)BRAID_(CPU_)?KERNEL\((\w+)\))");
  std::vector<DeclaredKernel> kernels;
  for (std::sregex_iterator match(header.begin(), header.end(), declaration), end; match != end;
       ++match) {
    kernels.push_back({(*match)[3], !(*match)[2].matched});
  }
  return kernels;
}

std::vector<std::string> global_functions_in(const std::string& source) {
  static const std::regex definition(
      R"((^|\n)__global__ void\s+(__launch_bounds__\((?:[^()]|\([^()]*\))*\)\s+)?(\w+)\()");
  std::vector<std::string> names;
  for (std::sregex_iterator match(source.begin(), source.end(), definition), end; match != end;
       ++match) {
    names.push_back((*match)[3]);
  }
  return names;
}

std::vector<std::string> global_functions_of_tree() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(source_folder()) / "kernels")) {
    if (entry.path().extension() != ".cu" && entry.path().extension() != ".hpp") continue;
    const std::vector<std::string> here = global_functions_in(text_of(entry.path()));
    names.insert(names.end(), here.begin(), here.end());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string short_kernel_name(std::string name) {
  const std::string tree = "braid::kernels::";
  if (name.rfind(tree, 0) != 0) return "";
  for (const std::string& part : {std::string("{anonymous}::"), tree}) {
    for (std::size_t at = name.find(part); at != std::string::npos; at = name.find(part))
      name.erase(at, part.size());
  }
  return name;
}

std::vector<std::string> never_launched(const std::vector<DeclaredKernel>& kernels,
                                        const std::vector<Backend>& backends,
                                        const Launches& launches) {
  std::vector<std::string> missing;
  for (const DeclaredKernel& kernel : kernels) {
    for (const Backend backend : backends) {
      if (runs_on_device(backend) && !kernel.on_gpus) continue;
      if (!launches.contains({kernel.name, backend}))
        missing.push_back(kernel.name + " on " + kernels::name_of(backend));
    }
  }
  return missing;
}

bool every_kernel_was_launched(std::ostream& report) {
  std::vector<DeclaredKernel> kernels;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(source_folder()) / "kernels")) {
    if (entry.path().extension() != ".hpp") continue;
    const std::vector<DeclaredKernel> here = kernels_declared_in(text_of(entry.path()));
    kernels.insert(kernels.end(), here.begin(), here.end());
  }
  std::vector<std::string> missing = never_launched(kernels, tested_backends(), noted());
  for (const kernels::GpuTableEntry& entry : kernels::emulated::table_of_kernels()) {
    if (!entry.present) std::erase(missing, std::string(entry.arguments) + " on emulated");
  }
  for (const std::string& launch : missing)
    report << "failed: no test of kernels launches " << launch << "\n";
  // A GPU without matrix units is never asked for what they do.
  if (tests_emulated() && simt::emulated_gpu().has_matrix_units()) {
    const auto records = simt::launch_records();
    for (const std::string& what : not_proven(global_functions_of_tree(), records)) {
      missing.push_back(what);
      report << "failed: " << what << "\n";
    }
    for (const std::string& kernel : instances_never_executed(simt::launchable_kernels(), records))
      report << "not tested: no test executes the GPU's " << kernel << "\n";
  }
#if !BRAID_WITH_CUDA
  report << "not tested: that the GPU's compiler spills no registers; it is not here\n";
#endif
  if (kernels.empty())
    report << "failed: no kernels are declared in " << source_folder() << "/kernels\n";
  for (const Backend backend : all_backends()) {
    if (!kernels::is_supported(backend)) {
      report << "not tested: kernels on " << kernels::name_of(backend)
             << (backend == Backend::cuda ? ": no GPU answers\n"
                                          : ", whose instructions this processor lacks\n");
    }
  }
  return missing.empty() && !kernels.empty();
}

}  // namespace braid::testing
