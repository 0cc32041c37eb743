// Writes down which tests executed which of the GPU's functions on the emulated device: a line for
// each, "function<tab>threads<tab>dynamic shared memory<tab>test", into the file that
// BRAID_KERNEL_LOG names.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <cstdlib>
#include <fstream>

#include "kernels/simt/launch_records.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/kernel_launch.hpp"

namespace {

#if __has_include(<catch2/catch_all.hpp>)
using Listener = Catch::EventListenerBase;
#else
using Listener = Catch::TestEventListenerBase;
#endif

class KernelLog : public Listener {
 public:
  using Listener::Listener;

  void testCaseStarting(const Catch::TestCaseInfo&) override {
    if (file_ != nullptr) before_ = braid::simt::launch_records();
  }
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    if (file_ == nullptr) return;
    std::ofstream log(file_, std::ios::app);
    for (const auto& [name, record] : braid::simt::launch_records()) {
      const std::string function = braid::testing::short_kernel_name(name);
      if (function.empty() || before_[name].launches == record.launches) continue;
      log << function << '\t' << record.threads << '\t' << record.shared << '\t'
          << name_of(stats.testInfo) << '\n';
    }
  }

 private:
  static const std::string& name_of(const Catch::TestCaseInfo& info) { return info.name; }
  template <class Pointer>
  static const std::string& name_of(const Pointer& info) {
    return info->name;
  }

  const char* file_ = std::getenv("BRAID_KERNEL_LOG");
  std::map<std::string, braid::simt::LaunchRecord> before_;
};
CATCH_REGISTER_LISTENER(KernelLog)

}  // namespace
