#pragma once
#include <mutex>
#include <string>

namespace braid {

// An error that a device does not get over. It is seen late, at some call that had no part in it,
// and every call after that fails as well: only the first one is near the cause.
class LastingFault {
 public:
  // Of a call that failed so, what a DeviceError says: it names the first one, be it this one or an
  // earlier.
  std::string described(const std::string& call, const std::string& error);
  bool known() const;
  // The device is as new.
  void forget();

 private:
  mutable std::mutex mutex_;
  std::string first_;
};

}  // namespace braid
