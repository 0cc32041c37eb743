// A fault that a device does not get over, as a kernel that writes where there is no memory: it
// shows late, and every call fails from then on. Each error names the call that failed first; the
// process lives, and so does all that is not on the device.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/error.hpp"
#include "engine/core/lasting_fault.hpp"
#include "engine/runtime/pinned_block.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/launch.hpp"
#include "tests/support/data_forms.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace braid;
using namespace braid::testing;

namespace {

// The device is as new when a test ends, whatever becomes of it.
class Breakable {
 public:
  Breakable() = default;
  ~Breakable() { simt::mend_device(); }
  Breakable(const Breakable&) = delete;
  Breakable& operator=(const Breakable&) = delete;
};

std::string failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

// The call and its error, without what is said of others.
std::string call_of(const std::string& failure) { return failure.substr(0, failure.find(';')); }

}  // namespace

TEST_CASE("a broken device: every error names the call that failed first, and the host goes on") {
  const Breakable ends;
  const Outcome on_cpu = trained(Device::cpu(), many_types, 1, quiet(8, 1));
  const Outcome on_device = trained(Device::emulated(), many_types, 1, quiet(8, 1));
  const Tensor here = Tensor::from({1.0F, 2.0F}, {2});
  // Plain launches, a recording being made, and a replay.
  for (const int steps_before : {0, 1, 2}) {
    CAPTURE(steps_before);
    {
      const OnDevice device(Device::emulated());
      Sample s = many_types();
      const ScratchFolder folder;
      s.model.save(folder.file("model"));
      const Tensor there = here.to(Device::emulated());
      for (int step = 0; step < steps_before; ++step) s.model.train_on_batch(s.x, s.y);
      simt::break_after_launches(1);
      const std::string first = failure_of([&] { s.model.train_on_batch(s.x, s.y); });
      CHECK_THAT(first, ContainsSubstring("a wait for an event: a lasting fault on purpose") &&
                            ContainsSubstring("has broken the device for this process"));
      const std::vector<std::function<void()>> later{
          [&] { s.model.train_on_batch(s.x, s.y); },
          [&] { s.model.fit(s.x, s.y, quiet(8, 1)); },
          [&] { s.model.predict(s.x); },
          [&] { s.model.get_weights(); },
          [&] { there.to(Device::cpu()); },
          [&] { static_cast<void>(here.to(Device::emulated())); },
          [&] { static_cast<void>(there.clone()); },
          [] { many_types(); },
          [&] { Model::load(folder.file("model")); },
      };
      for (std::size_t call = 0; call < later.size(); ++call) {
        CAPTURE(call);
        CHECK_THAT(failure_of(later[call]),
                   ContainsSubstring("the device is broken since " + call_of(first)));
      }
    }
    CHECK(here.to_vector<float>() == std::vector<float>{1, 2});
    CHECK(trained(Device::cpu(), many_types, 1, quiet(8, 1)) == on_cpu);
    simt::mend_device();
    CHECK(trained(Device::emulated(), many_types, 1, quiet(8, 1)) == on_device);
  }
}

TEST_CASE(
    "a broken device: a fit whose data lie there ends with the error, and callbacks hear it") {
  struct Listener : callbacks::Callback {
    void on_train_failed() override { ++failed; }
    void on_epoch_end(int, Logs&) override { ++epochs_done; }
    int failed = 0;
    int epochs_done = 0;
  };
  const Breakable ends;
  const OnDevice device(Device::emulated());
  for (const int steps : {1, 3}) {
    for (const std::int64_t launches : {0, 20, 120}) {
      CAPTURE(steps, launches);
      Sample s = many_types(steps);
      const auto listener = std::make_shared<Listener>();
      FitOptions options = quiet(8, 12);
      options.callbacks = {listener};
      simt::break_after_launches(launches);
      const std::string first = failure_of([&] { s.model.fit(s.x, s.y, options); });
      CHECK_THAT(first, ContainsSubstring("a lasting fault on purpose"));
      CHECK(listener->failed == 1);
      CHECK(listener->epochs_done < 12);
      CHECK_THAT(failure_of([&] { s.model.evaluate(s.x, s.y); }),
                 ContainsSubstring("broken since " + call_of(first)));
      simt::mend_device();
    }
  }
}

TEST_CASE("a broken device: it is silent until the host waits, and does nothing") {
  const Breakable ends;
  const DeviceAccess& access = access_to(Device::emulated());
  const kernels::Stream stream{kernels::Backend::emulated, access.new_stream()};
  const auto memory = allocate_on(Device::emulated(), 64, "a test");
  {
    PinnedBlock block(Device::emulated(), "a test");
    *block.take(64) = std::byte{1};
    const DeviceEvent event(Device::emulated());
    access.fill(memory.get(), std::byte{9}, 64, stream.native);
    simt::break_after_launches(0);
    auto* const floats = reinterpret_cast<float*>(memory.get());
    CHECK_NOTHROW(kernels::launch(stream, kernels::Fill{.out = {floats, 1, 16, 16}, .value = 1}));
    CHECK_NOTHROW(access.fill(memory.get(), std::byte{0}, 64, stream.native));
    CHECK_NOTHROW(block.start_upload(0, memory.get(), 64, stream.native));
    CHECK_NOTHROW(event.record(stream.native));
    CHECK_NOTHROW(allocate_on(Device::emulated(), 64, "a test"));
    CHECK(std::to_integer<int>(memory[0]) == 9);
    CHECK_THROWS_WITH(access.synchronize(stream.native),
                      ContainsSubstring("a wait for the stream: a lasting fault on purpose"));
    CHECK_THROWS_AS(event.is_done(), DeviceError);
    CHECK_THROWS_AS(event.wait(), DeviceError);
    CHECK_THROWS_AS(event.record(stream.native), DeviceError);
    CHECK_THROWS_AS(allocate_on(Device::emulated(), 64, "a test"), DeviceError);
    CHECK_THROWS_WITH(
        kernels::launch(stream, kernels::Fill{.out = {floats, 1, 16, 16}, .value = 1}),
        ContainsSubstring("kernel ") && ContainsSubstring("broken since a wait for the stream"));
    CHECK(std::to_integer<int>(memory[0]) == 9);
  }
  access.release_stream(stream.native);
}

TEST_CASE("a lasting fault keeps the first call, until it is forgotten") {
  LastingFault fault;
  CHECK_FALSE(fault.known());
  CHECK_THAT(fault.described("copy", "error 700"), ContainsSubstring("copy: error 700; a launch"));
  CHECK(fault.known());
  CHECK(fault.described("launch", "error 700") ==
        "launch: error 700; the device is broken since copy: error 700");
  CHECK_THAT(fault.described("wait", "error 719"), ContainsSubstring("since copy: error 700"));
  fault.forget();
  CHECK_FALSE(fault.known());
  CHECK_THAT(fault.described("wait", "error 719"), ContainsSubstring("wait: error 719; a launch"));
}
