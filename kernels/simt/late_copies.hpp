#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace braid::simt {

// What a stream of the emulated device was asked for without anybody waiting: copies between the
// device and page-locked memory, events, and to come behind events of other streams. Each happens
// as late as it may, so that mistakes show: an upload reads its source when the next other
// operation of the stream is carried out, or of one that comes behind it, or somebody waits; a
// download poisons its destination, and delivers when the host has learnt that it is done. Launches
// happen at once; but that nobody has waited for them is known here.
class LateCopies : public std::enable_shared_from_this<LateCopies> {
 public:
  void upload(std::byte* to, const std::byte* from, std::size_t bytes);
  void download(std::byte* to, const std::byte* from, std::size_t bytes);
  // The place of an event: behind all so far.
  std::int64_t mark();
  // What follows comes behind that place of another stream.
  void await(const std::shared_ptr<LateCopies>& other, std::int64_t place);
  // Whether an upload to here could change what launches of another stream still read. Nobody knows
  // what they read: the first one of a stream that has come behind an upload is taken to read what
  // it brought.
  bool may_be_read(const std::byte* to);

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
  struct Asked {
    std::int64_t place;
    std::byte* to;
    const std::byte* from;
    std::size_t bytes;
    bool to_host;
    std::shared_ptr<LateCopies> other;  // to come behind its place; null: a copy
    std::int64_t other_place;
  };
  struct Delivery {
    std::int64_t place;
    std::byte* to;
    std::vector<std::byte> bytes;
  };
  struct Brought {
    std::byte* to;
    std::int64_t place;
  };
  // A stream that came behind our `place`, and its first launch since: 0 as long as there is none.
  struct Reader {
    std::weak_ptr<LateCopies> stream;
    std::int64_t place;
    std::shared_ptr<std::int64_t> launch;
  };
  struct Behind {
    const LateCopies* stream;
    std::int64_t place;
  };
  std::int64_t behind(const LateCopies* other) const;
  void carry_out_to(std::int64_t place);
  void deliver(std::int64_t place);

  std::int64_t asked_ = 0;  // places so far
  std::int64_t done_ = 0;
  std::int64_t launched_ = 0;  // the last launch
  std::int64_t awaited_ = 0;   // what the host has learnt
  std::thread::id launcher_;
  std::deque<Asked> late_;  // not carried out; the oldest first, as below
  std::vector<Delivery> deliveries_;
  std::vector<Brought> brought_;  // by the last upload to a place of memory
  std::deque<Reader> readers_;
  std::vector<Behind> behind_;                          // how far this stream is behind others
  std::vector<std::shared_ptr<std::int64_t>> reading_;  // the next launch is the first of these
};

}  // namespace braid::simt
