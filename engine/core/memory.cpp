#include "engine/core/memory.hpp"

#include <unistd.h>

#include <fstream>
#include <string>

namespace braid {

std::int64_t free_memory() {
  // What caches would give back counts as free.
  std::ifstream facts("/proc/meminfo");
  std::string key;
  std::int64_t kilobytes = 0;
  std::string unit;
  while (facts >> key >> kilobytes && std::getline(facts, unit)) {
    if (key == "MemAvailable:") return kilobytes * 1024;
  }
  const long pages = sysconf(_SC_AVPHYS_PAGES);
  const long bytes = sysconf(_SC_PAGESIZE);
  return pages < 0 || bytes < 0 ? -1 : static_cast<std::int64_t>(pages) * bytes;
}

}  // namespace braid
