#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace braid::simt {

// What a stream of the emulated device was asked for without anybody waiting: copies between the
// device and page-locked memory, and events. Each happens as late as it may, so that mistakes show:
// an upload reads its source when the next other operation of the stream is carried out, or
// somebody waits; a download poisons its destination, and delivers when the host has learnt that
// it is done. Launches happen at once; but that nobody has waited for them is known here.
class LateCopies {
 public:
  void upload(std::byte* to, const std::byte* from, std::size_t bytes);
  void download(std::byte* to, const std::byte* from, std::size_t bytes);
  // The place of an event: behind all so far.
  std::int64_t mark();

  // What a device does before it carries out anything else in the stream.
  void carry_out();
  // Something else was carried out, behind all so far; nobody has waited for it yet.
  void note_launch();
  // Whether this thread has launched, and the host has not learnt that it is done.
  bool is_unawaited_here();
  // The host waits for the operations up to a place.
  void wait_for(std::int64_t place);
  void wait_for_all();
  // Whether they are done; then their bytes are there.
  bool is_done(std::int64_t place);

 private:
  struct Copy {
    std::int64_t place;
    std::byte* to;
    const std::byte* from;
    std::size_t bytes;
    bool to_host;
  };
  struct Delivery {
    std::int64_t place;
    std::byte* to;
    std::vector<std::byte> bytes;
  };
  void carry_out_to(std::int64_t place);
  void deliver(std::int64_t place);

  std::mutex mutex_;
  std::int64_t asked_ = 0;  // places so far
  std::int64_t done_ = 0;
  std::int64_t launched_ = 0;  // the last launch
  std::int64_t awaited_ = 0;   // what the host has learnt
  std::thread::id launcher_;
  std::vector<Copy> copies_;  // not carried out; the oldest first, as below
  std::vector<Delivery> deliveries_;
};

}  // namespace braid::simt
