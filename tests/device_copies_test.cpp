// Copies that the host does not wait for, and the events that tell when they are done.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "engine/core/error.hpp"
#include "engine/runtime/pinned_block.hpp"
#include "tests/support/data_forms.hpp"
#include "tests/support/refusals.hpp"
#include "tests/support/traffic.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// A stream, and memory of the device, for a test.
class Place {
 public:
  explicit Place(Device device, std::size_t bytes = 64)
      : access(access_to(device)),
        stream(access.new_stream()),
        memory(allocate_on(device, bytes, "a test")) {}
  ~Place() { access.release_stream(stream); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  std::vector<std::uint8_t> there(std::size_t count) const {
    std::vector<std::uint8_t> bytes(count);
    access.download(reinterpret_cast<std::byte*>(bytes.data()), memory.get(), count, stream);
    return bytes;
  }

  const DeviceAccess& access;
  void* stream;
  std::shared_ptr<std::byte[]> memory;
};

std::uint8_t first_byte(const PinnedBlock& block) {
  return std::to_integer<std::uint8_t>(*block.data());
}

}  // namespace

TEST_CASE("device copies: page-locked bytes go to a device and come back in a stream's order") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const Place place(device, 128);
  PinnedBlock out(device, "a test");
  PinnedBlock back(device, "a test");
  std::vector<std::uint8_t> numbers(64);
  std::iota(numbers.begin(), numbers.end(), std::uint8_t{1});
  out.take(64);
  back.take(60);
  out.put(0, numbers.data(), 64);
  out.start_upload(0, place.memory.get(), 64, place.stream);
  place.access.copy(place.memory.get() + 64, place.memory.get(), 64, place.stream);
  back.start_download(0, place.memory.get() + 68, 60, place.stream);
  place.access.fill(place.memory.get(), std::byte{0}, 128, place.stream);
  back.wait();
  CHECK(std::memcmp(back.data(), numbers.data() + 4, 60) == 0);
  CHECK(back.is_done());
  CHECK(place.there(128) == std::vector<std::uint8_t>(128, 0));
}

TEST_CASE(
    "device copies: an event has happened once all before it is done, and may be used again") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const Place place(device);
  const DeviceEvent event(device);
  CHECK(event.is_done());  // never recorded
  event.wait();
  for (int time = 0; time < 3; ++time) {
    place.access.fill(place.memory.get(), std::byte{1}, 64, place.stream);
    event.record(place.stream);
    event.wait();
    CHECK(event.is_done());
  }
}

TEST_CASE("device copies: blocks in turn are filled again only when they have been read") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const Place place(device);
  Staging staging(device, "a test");
  std::vector<std::uint8_t> sent;
  for (std::uint8_t number = 0; number < 9; ++number) {
    // Larger ones too, which need other memory.
    PinnedBlock& block = staging.next(number < 6 ? 1 : 1000);
    block.put(0, &number, 1);
    block.start_upload(0, place.memory.get() + number, 1, place.stream);
    sent.push_back(number);
  }
  CHECK(place.there(9) == sent);
}

TEST_CASE("device copies: page-locked memory that cannot be had is told, and the block goes on") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  PinnedBlock block(device, "the rows of a test");
  block.take(64);
  // More than a process can address.
  check_refused<OutOfMemory>([&] { block.take(std::size_t{1} << 50); },
                             {"the rows of a test: 1125899906842624 bytes", "page-locked",
                              "device \"" + to_string(device) + "\"", "bytes of it are free"});
  CHECK(block.data() == nullptr);
  CHECK(block.take(128) != nullptr);
}

TEST_CASE("device copies: blocks that go away wait for their copies") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const Place place(device);
  {
    PinnedBlock block(device, "a test");
    std::memset(block.take(64), 7, 64);
    block.start_upload(0, place.memory.get(), 64, place.stream);
  }
  CHECK(place.there(64) == std::vector<std::uint8_t>(64, 7));
}

TEST_CASE("device copies: the emulated device makes them as late as they may happen") {
  const Device device = Device::emulated();
  const Place place(device);
  PinnedBlock block(device, "a test");
  *block.take(1) = std::byte{1};
  block.start_upload(0, place.memory.get(), 1, place.stream);
  CHECK_FALSE(block.is_done());
  const std::byte too_early{2};
  block.put(0, &too_early, 1);
  CHECK(place.there(1).front() == 2);
  CHECK(block.is_done());

  block.start_download(0, place.memory.get(), 1, place.stream);
  CHECK(first_byte(block) == 0xFF);  // not there yet
  CHECK_FALSE(block.is_done());
  place.access.fill(place.memory.get(), std::byte{3}, 1, place.stream);
  CHECK(first_byte(block) == 0xFF);  // there, but nobody has asked
  CHECK(block.is_done());
  CHECK(first_byte(block) == 2);  // from before the fill

  block.start_download(0, place.memory.get(), 1, place.stream);
  block.wait();
  CHECK(first_byte(block) == 3);
}

TEST_CASE("device copies: none may overtake launches of another stream that nobody waited for") {
  const Device device = Device::emulated();
  const Place launched(device);
  const Place other(device);
  const DeviceEvent event(device);
  const auto launch = [&] {
    launched.access.fill(launched.memory.get(), std::byte{7}, 64, launched.stream);
  };
  const Tensor tensor = Tensor::zeros({2}).to(device);
  const std::string complaint = "while nobody has waited for another stream";
  launch();
  CHECK(launched.there(1).front() == 7);  // in order; and waits
  CHECK(other.there(1).front() == 0xFF);
  launch();
  event.record(launched.stream);
  CHECK_THROWS_WITH(other.there(1), "a download " + complaint);
  CHECK_THROWS_WITH(tensor.to(Device::cpu()), "a download " + complaint);
  CHECK_THROWS_WITH(other.access.copy(other.memory.get(), launched.memory.get(), 1, nullptr),
                    "a copy on the device " + complaint);
  PinnedBlock block(device, "a test");
  block.take(1);
  CHECK_THROWS_WITH(block.start_download(0, other.memory.get(), 1, other.stream),
                    "a download " + complaint);
  std::thread([&] { CHECK(other.there(1).front() == 0xFF); }).join();  // has launched nothing

  event.wait();
  CHECK(other.there(1).front() == 0xFF);
  event.record(launched.stream);
  launch();  // behind the event
  event.wait();
  CHECK_THROWS_WITH(other.there(1), "a download " + complaint);
  event.record(launched.stream);
  launched.access.fill(launched.memory.get(), std::byte{8}, 0, launched.stream);
  CHECK(event.is_done());
  CHECK_THROWS_WITH(other.there(1), "a download " + complaint);
  launched.access.synchronize(launched.stream);
  CHECK(other.there(1).front() == 0xFF);
}

TEST_CASE("device copies: a stream comes behind an event of another, and the host goes on") {
  const Device device = GENERATE(from_range(gpus()));
  INFO(to_string(device));
  const Place copying(device);
  const Place working(device);
  PinnedBlock block(device, "a test");
  const DeviceEvent copied(device);
  const DeviceEvent worked(device);
  for (const std::uint8_t number : {1, 2, 3}) {
    std::memset(block.take(64), number, 64);
    worked.await_in(copying.stream);
    block.start_upload(0, copying.memory.get(), 64, copying.stream);
    copied.record(copying.stream);
    copied.await_in(working.stream);
    working.access.copy(working.memory.get(), copying.memory.get(), 64, working.stream);
    worked.record(working.stream);
  }
  CHECK(working.there(64) == std::vector<std::uint8_t>(64, 3));
}

TEST_CASE("device copies: none may overwrite what launches of another stream may still read") {
  const Device device = Device::emulated();
  const Place copying(device);
  const Place working(device);
  PinnedBlock block(device, "a test");
  const DeviceEvent event(device);
  block.take(64);
  const auto send = [&] { block.start_upload(0, copying.memory.get(), 64, copying.stream); };
  const auto work = [&] {
    working.access.fill(working.memory.get(), std::byte{1}, 64, working.stream);
  };
  send();
  send();
  event.record(copying.stream);
  event.await_in(working.stream);
  event.record(working.stream);
  work();
  // Behind an event that came too early.
  event.await_in(copying.stream);
  CHECK_THROWS_WITH(send(), ContainsSubstring("may still read"));
  event.record(working.stream);
  event.await_in(copying.stream);
  send();

  event.record(copying.stream);
  event.await_in(working.stream);
  work();
  CHECK_THROWS_AS(send(), DeviceError);
  working.access.synchronize(working.stream);
  send();
}

TEST_CASE("device copies: what a recording cannot hold is refused within one") {
  const Place place(Device::emulated());
  PinnedBlock block(Device::emulated(), "a test");
  block.take(1);
  const DeviceEvent event(Device::emulated());
  place.access.begin_recording(place.stream);
  CHECK_THROWS_AS(place.there(1), DeviceError);
  CHECK_THROWS_AS(place.access.synchronize(place.stream), DeviceError);
  CHECK_THROWS_AS(event.record(place.stream), DeviceError);
  CHECK_THROWS_WITH(block.start_upload(0, place.memory.get(), 1, place.stream),
                    ContainsSubstring("an upload within a recording"));
  CHECK_THROWS_WITH(place.access.allocate(1), "an allocation within a recording");
  CHECK_THROWS_WITH(place.access.allocate_pinned(1), "an allocation within a recording");
  std::thread([&] { CHECK_NOTHROW(PinnedBlock(Device::emulated(), "a test").take(1)); }).join();
  static_cast<void>(place.access.end_recording(place.stream));
}

TEST_CASE("device copies: small results of a batch are waited for once, large ones one by one") {
  const OnDevice here(Device::emulated());
  const auto predicted = [](std::int64_t rows) {
    const auto numbers = Input({.shape = {4}, .name = "numbers"});
    const Model model({numbers}, {layers::Dense({.units = 3, .name = "some"})(numbers),
                                  layers::Dense({.units = 1, .name = "one"})(numbers)});
    const std::vector<float> ones(static_cast<std::size_t>(rows) * 4, 1.0F);
    const TensorDict x{{"numbers", Tensor::from(ones, {rows, 4})}};
    const auto predict = [&] { return model.predict(x, {.batch_size = rows}); };
    predict();
    const simt::EmulatedTraffic traffic = traffic_of(predict);
    const TensorDict results = predict();
    for (const auto& [name, result] : results) {
      const auto values = result.to_vector<float>();
      CHECK(values[0] != 0);
      CHECK(std::equal(values.begin() + result.elements() / rows, values.end(), values.begin()));
    }
    return traffic;
  };
  const simt::EmulatedTraffic small = predicted(65536);
  CHECK(small.downloads == 0);
  CHECK(small.waits == 1);
  const simt::EmulatedTraffic large = predicted(65537);
  CHECK(large.downloads == 2);
  CHECK(large.waits == 0);
}

TEST_CASE("device copies: a step sends its batch at once, and waits for nothing but its logs") {
  const OnDevice here(Device::emulated());
  Sample s = many_types();
  const auto step = [&] { s.model.train_on_batch(s.x, s.y); };
  for (int warm = 0; warm < 3; ++warm) step();
  const simt::EmulatedTraffic traffic = traffic_of(step);
  CHECK(traffic.uploads == 0);
  CHECK(traffic.downloads == 0);
  // The state of dropout, the rates, four inputs and three targets together.
  constexpr std::int64_t kSent = 1;
  const auto logs = static_cast<std::int64_t>(s.model.train_on_batch(s.x, s.y).size());
  CHECK(traffic.started == kSent + logs);
  // For all logs together: blocks were read long ago.
  CHECK(traffic.waits == 1);
}
