// Model folders with one fault are loaded in the way that `dray serve` and `dray generate` load
// them. Each must be refused, quickly and in little memory, by a message that names the file and
// the field or tensor. Unusual folders without a fault must be loaded, with the same weights.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <set>
#include <vector>

#include "base/log.h"
#include "base/parse/parse_number.h"
#include "engine/runner/loaded_model.h"
#include "kernels/cpu/dispatch.h"
#include "malformed/malformed_model.h"
#include "tokenizer/tokenizer.h"

namespace dray {
namespace {

using engine::LoadedModel;
using testing::MalformedModel;
using testing::ModelFolder;
using testing::SoundModel;

// Ends what does not end by itself: a refusal takes milliseconds.
constexpr std::clock_t kMaxCpuTime = 20 * CLOCKS_PER_SEC;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kMaxExtraKib = 1 << 20;  // sanitizers keep freed blocks for a while
#else
constexpr int64_t kMaxExtraKib = 128 << 10;
#endif
constexpr unsigned kMaxSecondsOfWaiting = 120;  // ends e.g. a read from a FIFO without a writer

// Loads the tokenizer first, as the program does. An empty `isa` means the best one.
Result<std::unique_ptr<LoadedModel>> Open(const std::filesystem::path& dir,
                                          std::string_view isa = "") {
  DRAY_ASSIGN_OR_RETURN(const auto tokenizer, tokenizer::Tokenizer::Load(dir));
  return engine::LoadModel(
      {.model_dir = dir, .backend_options = {.cpu = {.num_threads = 1, .isa = std::string(isa)}}});
}

// The value of a line of /proc/self/status in KiB; nothing if there is no such line.
std::optional<int64_t> ProcessKib(std::string_view field) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(field)) continue;
    const size_t begin = line.find_first_of("0123456789");
    return ParseInt64(line.substr(begin, line.find(' ', begin) - begin));
  }
  return std::nullopt;
}

// Measures the peak since its construction.
class PeakMemory {
 public:
  PeakMemory() {
    std::ofstream("/proc/self/clear_refs") << "5";
    before_ = ProcessKib("VmRSS:");
  }
  int64_t extra_kib() const {
    const auto peak = ProcessKib("VmHWM:");
    return before_ && peak ? *peak - *before_ : 0;
  }

 private:
  std::optional<int64_t> before_;
};

void ExpectRefusal(const MalformedModel& test) {
  const ModelFolder folder(test.model, test.tokenizer);
  test.damage(folder);
  const PeakMemory memory;
  const std::clock_t start = std::clock();
  ::alarm(kMaxSecondsOfWaiting);
  const auto model = Open(folder.dir());
  ::alarm(0);
  EXPECT_LT(std::clock() - start, kMaxCpuTime);
  EXPECT_LT(memory.extra_kib(), kMaxExtraKib);
  if (model.ok()) {
    ADD_FAILURE() << "accepted";
    return;
  }
  const std::string& message = model.status().message();
  const auto path = test.file.empty() ? folder.dir() : folder.dir() / test.file;
  EXPECT_NE(message.find(path.string()), std::string::npos) << message << "\n  lacks: " << path;
  for (const std::string& expected : test.expected)
    EXPECT_NE(message.find(expected), std::string::npos) << message << "\n  lacks: " << expected;
  EXPECT_LT(message.size(), 2000u) << message.substr(0, 4000);
  EXPECT_NE(model.status().code(), StatusCode::kInternal) << message;
}

void ExpectRefusals(const std::vector<MalformedModel>& tests) {
  std::set<std::string> names;
  for (const MalformedModel& test : tests) {
    SCOPED_TRACE(test.name);
    EXPECT_TRUE(names.insert(test.name).second) << "the name is taken";
    ExpectRefusal(test);
  }
}

class MalformedModelsTest : public ::testing::Test {
 protected:
  void SetUp() override { SetLogLevel(LogLevel::kOff); }
  void TearDown() override { SetLogLevel(LogLevel::kInfo); }
};

TEST_F(MalformedModelsTest, Configs) {
  const auto tests = testing::MalformedConfigs();
  EXPECT_GE(tests.size(), 400u);
  ExpectRefusals(tests);
}

TEST_F(MalformedModelsTest, Tokenizers) {
  const auto tests = testing::MalformedTokenizers();
  EXPECT_GE(tests.size(), 200u);
  ExpectRefusals(tests);
}

TEST_F(MalformedModelsTest, TokenizerFiles) {
  const auto tests = testing::MalformedTokenizerFiles();
  EXPECT_GE(tests.size(), 40u);
  ExpectRefusals(tests);
}

TEST_F(MalformedModelsTest, Tensors) {
  const auto tests = testing::MalformedTensors();
  EXPECT_GE(tests.size(), 500u);
  ExpectRefusals(tests);
}

TEST_F(MalformedModelsTest, WeightFiles) {
  const auto tests = testing::MalformedWeightFiles();
  EXPECT_GE(tests.size(), 500u);
  ExpectRefusals(tests);
}

TEST_F(MalformedModelsTest, Folders) {
  const auto tests = testing::MalformedFolders();
  EXPECT_GE(tests.size(), 100u);
  ExpectRefusals(tests);
}

// Bytes of the model's memory, copied to the host.
std::vector<std::byte> Copied(const LoadedModel& model, const void* address, size_t size_bytes) {
  std::vector<std::byte> bytes(size_bytes);
  EXPECT_TRUE(model.ranks[0].backend->memory().CopyToHost(bytes.data(), address, size_bytes).ok());
  return bytes;
}

void ExpectSameWeights(const LoadedModel& got, const LoadedModel& want) {
  EXPECT_EQ(got.format, want.format);
  EXPECT_EQ(got.ranks[0].weights.num_parameters(), want.ranks[0].weights.num_parameters());
  want.ranks[0].weights.ForEach(
      [&](model::Slot slot, int64_t layer, int64_t elements, size_t bytes) {
        SCOPED_TRACE(std::string(model::Name(slot)) + " " + std::to_string(layer));
        if (model::IsMatrixSlot(slot)) {
          const auto* a = got.ranks[0].weights.Matrix(slot, layer);
          const auto* b = want.ranks[0].weights.Matrix(slot, layer);
          ASSERT_TRUE(a != nullptr && a->size_bytes() == bytes);
          EXPECT_EQ(Copied(got, a->data(), bytes), Copied(want, b->data(), bytes));
        } else {
          const float* a = got.ranks[0].weights.Vector(slot, layer);
          ASSERT_NE(a, nullptr);
          const size_t vector_bytes = static_cast<size_t>(elements) * sizeof(float);
          EXPECT_EQ(Copied(got, a, vector_bytes),
                    Copied(want, want.ranks[0].weights.Vector(slot, layer), vector_bytes));
        }
      });
}

void ExpectLoaded(const SoundModel& test, std::string_view isa) {
  const ModelFolder plain(test.model, "gpt2");
  const auto want = Open(plain.dir(), isa);
  ASSERT_TRUE(want.ok()) << want.status().message();
  const ModelFolder folder(test.model, test.tokenizer);
  test.change(folder);
  const auto got = Open(folder.dir(), isa);
  EXPECT_TRUE(got.ok()) << got.status().message();
  if (got.ok()) ExpectSameWeights(**got, **want);
}

TEST_F(MalformedModelsTest, SoundModelsAreLoaded) {
  const auto tests = testing::SoundModels();
  EXPECT_GE(tests.size(), 80u);
  for (const SoundModel& test : tests) {
    SCOPED_TRACE(test.name);
    ExpectLoaded(test, "");
    if (!test.name.starts_with("unaligned")) continue;
    for (const kernels::IsaKernels* isa : kernels::AvailableIsas()) ExpectLoaded(test, isa->name);
  }
}

}  // namespace
}  // namespace dray
