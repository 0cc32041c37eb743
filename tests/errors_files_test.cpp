// Files that are cut, altered, foreign or cannot be written: a typed error that names the file, and
// model, optimizer and older files are as they were.
#include <sys/resource.h>
#include <zlib.h>

#include <csignal>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include <braid/idx.hpp>
#include <braid/npz.hpp>

#include "engine/io/safetensors.hpp"
#include "tests/support/refusals.hpp"
#include "tests/support/sample_models.hpp"
#include "tests/support/scratch_folder.hpp"

using namespace braid;
using namespace braid::testing;
using nlohmann::json;
using Words = std::vector<std::string>;

namespace {

// Reads a file; gives what was in it, as bytes that can be compared.
using Read = std::function<std::string(const std::string& path)>;

// What came of every beginning of a file, and of the file with one bit or all bits of one byte
// turned. Any error but one of ours that names the file is a failure.
struct Damage {
  using Places = std::vector<std::size_t>;
  Places cuts_read;     // without an error
  Places changes_read;  // without an error ...
  Places misread;       // ... and something else than in the whole file
};

Damage damage(const std::string& whole, const Read& read, const std::string& name = "damaged") {
  const ScratchFolder folder;
  const std::string path = folder.file(name, whole);
  const std::string right = read(path);
  const auto try_read = [&](const std::string& content) -> std::optional<std::string> {
    folder.file(name, content);
    try {
      return read(path);
    } catch (const Error& error) {
      if (std::string(error.what()).find(path) == std::string::npos)
        FAIL_CHECK("the file is not named: " << error.what());
      return {};
    }
  };
  Damage found;
  for (std::size_t length = 0; length < whole.size(); ++length) {
    if (try_read(whole.substr(0, length))) found.cuts_read.push_back(length);
  }
  for (std::size_t place = 0; place < whole.size(); ++place) {
    for (const char mask : {static_cast<char>(1 << place % 8), '\xff'}) {
      std::string changed = whole;
      changed[place] = static_cast<char>(changed[place] ^ mask);
      const auto content = try_read(changed);
      if (!content) continue;
      found.changes_read.push_back(place);
      if (*content != right) found.misread.push_back(place);
    }
  }
  return found;
}

std::string packed(const ScratchFolder& folder, const std::string& content) {
  const std::string path = folder.file("packed.gz");
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
  return content_of(path);
}

// The model file with another description, and the checksum that belongs to it.
void rewrite(const std::string& path, const std::function<void(json&)>& change) {
  const SafetensorsFile file(path);
  json described = json::parse(file.metadata().at("braid"));
  change(described);
  const std::string text = described.dump();
  const TensorDict tensors = file.tensors();
  const auto over = [](uLong crc, const void* bytes, std::size_t count) {
    return crc32_z(crc, static_cast<const Bytef*>(bytes), count);
  };
  uLong crc = over(crc32_z(0, nullptr, 0), text.data(), text.size());
  for (const auto& [name, tensor] : tensors) {
    const std::string head = name + " " + describe(tensor);
    crc = over(over(crc, head.data(), head.size()), tensor.raw(), tensor.bytes());
  }
  char sum[16];
  std::snprintf(sum, sizeof sum, "%08lx", crc);
  write_safetensors(path, tensors, {{"braid", text}, {"braid_crc32", sum}});
}

}  // namespace

TEST_CASE("a model file that was cut or altered anywhere is refused") {
  const ScratchFolder folder;
  auto x = Input({.shape = {2}, .name = "x"});
  Model model({x}, {layers::Dense({.units = 2, .name = "y"})(x)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  model.save(folder.file("model"));
  const Damage found = damage(content_of(folder.file("model")), [](const std::string& path) {
    const Model loaded = Model::load(path);
    return loaded.summary() + state_of(loaded).bytes;
  });
  CHECK(found.cuts_read == Damage::Places{});
  CHECK(found.changes_read == Damage::Places{});
}

TEST_CASE("a weights file that was cut or altered is refused, or its weights are right") {
  const ScratchFolder folder;
  Sample s = two_inputs(4);
  s.model.train_on_batch(s.x, s.y);
  s.model.save_weights(folder.file("weights"));
  const State before = state_of(s.model);
  const std::string whole = content_of(folder.file("weights"));
  const Damage found = damage(whole, [&](const std::string& path) {
    try {
      s.model.load_weights(path);
    } catch (const FormatError& error) {
      if (!(state_of(s.model) == before)) FAIL_CHECK("changed by: " << error.what());
      throw;
    }
    return state_of(s.model).bytes;
  });
  CHECK(found.cuts_read == Damage::Places{});
  CHECK(found.misread == Damage::Places{});
  // Under another key the checksum is none, as in a file of another program.
  CHECK(found.changes_read.size() <= 2 * std::string("braid_crc32").size());
  check_refused<FormatError>([&] { s.model.load_weights(folder.file("longer", whole + "x")); },
                             {"longer", "1 bytes behind the last tensor"});
}

TEST_CASE("a weights file without a checksum is read as it is, and its defects are told") {
  const ScratchFolder folder;
  Sample s = two_inputs(4);
  const State before = state_of(s.model);
  TensorDict weights = s.model.get_weights();
  const auto refused = [&](auto error, const TensorDict& tensors, Words words) {
    const std::string path = folder.file("foreign");
    write_safetensors(path, tensors);
    words.push_back(path);
    check_refused<decltype(error)>([&] { s.model.load_weights(path); }, words);
    CHECK(state_of(s.model) == before);
  };
  TensorDict more = weights;
  more.set("label/bia", Tensor::zeros({1}));
  refused(NameError(""), more, {"no weight \"label/bia\"", "Did you mean \"label/bias\"?"});
  refused(NameError(""), {{"label/bias", weights["label/bias"]}},
          {"the weight \"dense/kernel\" is missing", "\"label/bias\""});
  TensorDict wrong = weights;
  wrong.set("label/bias", Tensor::zeros({2}));
  refused(ShapeError(""), wrong, {"\"label/bias\"", "[1]", "[2] came"});
  wrong.set("label/bias", Tensor::zeros({1}, DType::int32));
  refused(DTypeError(""), wrong, {"\"label/bias\"", "float32", "int32"});
  weights.set("label/bias", Tensor::from({3.0F}, {1}));
  write_safetensors(folder.file("foreign"), weights);
  s.model.load_weights(folder.file("foreign"));
  CHECK(s.model.get_weights()["label/bias"].to_vector<float>() == std::vector<float>{3});
}

TEST_CASE("data files that were cut are refused, and their checksums find what was altered") {
  const ScratchFolder folder;
  const Read read_images = [](const std::string& path) {
    return bytes_of({{"images", read_idx(path)}});
  };
  const Read read_rows = [](const std::string& path) { return bytes_of(Dataset::csv(path).x()); };
  const std::string idx{std::string("\0\0\x08\x02\0\0\0\x02\0\0\0\x03", 12) + "abcdef"};
  CHECK(damage(idx, read_images).cuts_read.empty());
  const TensorDict arrays{{"a", uniform({2, 3}, 1)}, {"b", Tensor::from({1, 2, 3}, {3})}};
  write_npy(folder.file("a.npy"), arrays["a"]);
  CHECK(damage(content_of(folder.file("a.npy")), [](const std::string& path) {
          return bytes_of({{"a", read_npy(path)}});
        }).cuts_read.empty());
  damage("a,b\n1,\"x,\"\"y\"\"\n\"\n2,z\n", read_rows);

  const auto noticed = [](const Damage& found) {
    CHECK(found.cuts_read == Damage::Places{});
    CHECK(found.misread == Damage::Places{});
  };
  noticed(damage(packed(folder, idx), read_images, "damaged.gz"));
  noticed(damage(packed(folder, "a,b\n1,2\n"), read_rows, "damaged.gz"));
  CHECK(damage(packed(folder, "a,b\n1,2\n"), read_rows).cuts_read.empty());
  write_npz(folder.file("a.npz"), arrays);
  noticed(damage(content_of(folder.file("a.npz")),
                 [](const std::string& path) { return bytes_of(read_npz(path)); }));
  check_refused<FormatError>([&] { Dataset::csv(folder.file("plain.csv.gz", "a,b\n1,2\n")); },
                             {"plain.csv.gz", "no gzip file"});
}

TEST_CASE("a model file whose description does not hold together is refused") {
  const ScratchFolder folder;
  const std::string path = folder.file("model");
  const auto refused = [&](const std::function<void(json&)>& change, Words words) {
    Sample s = two_inputs(4);
    s.model.save(path);
    rewrite(path, change);
    words.push_back(path);
    check_refused<FormatError>([&] { Model::load(path); }, words);
  };
  Sample s = two_inputs(4);
  s.model.save(path);
  rewrite(path, [](json&) {});
  CHECK(state_of(Model::load(path)) == state_of(s.model));
  refused([](json& d) { d["format"] = 99; }, {"format 99"});
  refused([](json& d) { d.erase("config"); }, {"broken"});
  refused([](json& d) { d["class_name"] = "Functionl"; }, {"Did you mean \"Functional\"?"});
  refused([](json& d) { d["config"]["layers"][2]["class_name"] = "Dens"; },
          {"\"Dens\"", "Did you mean \"Dense\"?"});
  refused([](json& d) { d["config"]["layers"][2]["config"]["unit"] = 3; }, {"\"unit\""});
  refused([](json& d) { d["config"]["layers"][2]["config"]["units"] = 0; }, {"units", "0"});
  refused([](json& d) { d["config"]["layers"][2]["config"]["units"] = 7; }, {"dense", "7"});
  refused([](json& d) { d["config"]["layers"][2]["config"]["units"] = "six"; }, {"broken"});
  refused([](json& d) { d["config"]["layers"][2]["config"]["units"] = 1LL << 60; },
          {"1152921504606846976"});
  // A cycle: a layer fed by itself, by a later one, by one that is not there.
  for (const int node : {2, 5, 99, -1}) {
    refused(
        [&](json& d) {
          for (json& entry : d["config"]["nodes"]) {
            if (!entry["inputs"].empty()) entry["inputs"][0][0] = node == 2 ? 99 : node;
          }
        },
        {"broken", "fed by a later one"});
  }
  refused([](json& d) { d["config"]["outputs"][0]["tensor"] = {0, 3}; }, {"broken"});
  refused([](json& d) { d["config"]["inputs"][0]["key"] = 7; }, {"broken"});
  refused([](json& d) { d["config"]["layers"][0]["name"] = "numeric"; }, {"two layers named"});
  refused([](json& d) { d["objective"]["outputs"][0]["loss"]["class"] = "Bce"; }, {"Bce"});
  refused([](json& d) { d["objective"]["optimizer"]["class"] = "Adamm"; }, {"Adamm"});
  refused([](json& d) { d["objective"].erase("metrics"); }, {"broken"});
}

TEST_CASE("files of another kind are refused by what they are") {
  const ScratchFolder folder;
  Sample s = two_inputs(4);
  s.model.save(folder.file("model"));
  s.model.save_weights(folder.file("weights"));
  const State before = state_of(s.model);
  check_refused<FormatError>([&] { Model::load(folder.file("weights")); },
                             {"weights", "holds tensors but no model"});
  check_refused<NameError>([&] { s.model.load_weights(folder.file("model")); },
                           {"no weight \"weights/"});
  check_refused<IoError>([&] { Model::load(folder.file("none")); }, {"none", "No such file"});
  check_refused<IoError>([&] { s.model.load_weights(folder.file("none")); }, {"none"});
  check_refused<IoError>([&] { Model::load(folder.file("")); }, {"folder"});
  check_refused<FormatError>([&] { Model::load(folder.file("empty", "")); }, {"empty"});
  check_refused<FormatError>([&] { Model::load(folder.file("text", "no model at all")); },
                             {"text"});
  Sample other = two_outputs(4);
  check_refused<NameError>([&] { other.model.load_weights(folder.file("weights")); },
                           {"no weight \"dense/kernel\""});
  CHECK(state_of(s.model) == before);
}

TEST_CASE("a file that cannot be written leaves the old one and no temporary file") {
  const ScratchFolder folder;
  Sample s = two_inputs(4);
  const State before = state_of(s.model);
  const std::string kept = folder.file("kept", "old");
  const auto on_a_full_disk = [](const std::function<void()>& write) {
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    rlimit small = limit;
    small.rlim_cur = 64;
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    std::string what;
    try {
      write();
    } catch (const IoError& error) {
      what = error.what();
    }
    setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, handler);
    return what;
  };
  const std::vector<std::function<void()>> writes{[&] { s.model.save(kept); },
                                                  [&] { s.model.save_weights(kept); },
                                                  [&] { write_npy(kept, uniform({100}, 1)); },
                                                  [&] {
                                                    write_npz(kept, {{"a", uniform({100}, 1)}});
                                                  }};
  for (const auto& write : writes) {
    CHECK_THAT(on_a_full_disk(write), ContainsSubstring("cannot write") && ContainsSubstring(kept));
    CHECK(content_of(kept) == "old");
    const auto files =
        std::filesystem::directory_iterator(std::filesystem::path(kept).parent_path());
    CHECK(std::distance(files, {}) == 1);
  }
  check_refused<IoError>([&] { s.model.save(folder.file("no/folder")); },
                         {"cannot write", "no/folder"});
  check_refused<IoError>([&] { s.model.save_weights(folder.file("")); }, {"cannot write"});
  CHECK(state_of(s.model) == before);
}

TEST_CASE("a whole model comes back with everything it was compiled with") {
  const ScratchFolder folder;
  Sample s = sequences(8, 4);
  s.model.compile({.optimizer = optimizers::RMSprop({.learning_rate = 0.01, .momentum = 0.5}),
                   .loss = losses::SparseCategoricalCrossentropy(),
                   .metrics = {"accuracy"},
                   .steps_per_execution = 2});
  s.model.fit(s.x, s.y, {.batch_size = 3, .verbose = 0, .seed = 4});
  s.model.save(folder.file("model"));
  Model loaded = Model::load(folder.file("model"));
  CHECK(loaded.summary() == s.model.summary());
  CHECK(state_of(loaded) == state_of(s.model));
  int batches = 0;
  FitOptions options{.batch_size = 3, .epochs = 2, .verbose = 0, .initial_epoch = 1};
  options.callbacks = {callbacks::LambdaCallback(
      {.on_train_batch_end = [&](std::int64_t, const Logs&) { ++batches; }})};
  loaded.fit(s.x, s.y, options);
  CHECK(batches == 2);
  s.model.fit(s.x, s.y, {.batch_size = 3, .epochs = 2, .verbose = 0, .initial_epoch = 1});
  CHECK(state_of(loaded) == state_of(s.model));
  loaded.save(folder.file("again"));
  s.model.save(folder.file("model"));
  CHECK(content_of(folder.file("again")) == content_of(folder.file("model")));
}
