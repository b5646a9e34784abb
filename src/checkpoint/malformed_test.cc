// Every damaged file is refused, quickly, by a message that names the file and what is wrong with
// it; every sound one is accepted. The content lies in a heap block of exactly its size, so that a
// sanitizer sees any read beyond it, which a mapping's last page would hide.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <ctime>
#include <fstream>
#include <set>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/testing/malformed_files.h"
#include "checkpoint/torch/torch_file.h"

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;
using Reader = Result<FileContent> (*)(std::span<const std::byte>, const std::string&);

// Ends what does not end by itself: a refusal takes milliseconds.
constexpr std::clock_t kMaxCpuTime = 20 * CLOCKS_PER_SEC;
const std::string kPath = "models/some_model/weights";

// Reads `content`, and every byte of every tensor in it.
Status ReadWhole(Reader read, const std::string& content) {
  const auto block = std::make_unique<std::byte[]>(content.size());
  if (!content.empty()) std::memcpy(block.get(), content.data(), content.size());
  const auto file = read({block.get(), content.size()}, kPath);
  if (!file.ok()) return file.status();
  unsigned sum = 0;
  for (const TensorSource& tensor : file->tensors) {
    int64_t last = 0;
    for (int i = 0; i < tensor.shape.rank(); ++i) last += (tensor.shape[i] - 1) * tensor.strides[i];
    if (tensor.shape.elements() == 0) continue;
    const size_t size = tensor.blocks != nullptr
                            ? tensor.bytes().size()
                            : (static_cast<size_t>(last) + 1) * SizeOf(tensor.dtype);
    for (size_t i = 0; i < size; ++i) sum += std::to_integer<unsigned>(tensor.data[i]);
  }
  return sum == ~0u ? Status(StatusCode::kInternal, "improbable") : OkStatus();
}

void ExpectRefusals(Reader read, const std::vector<MalformedCase>& cases) {
  std::set<std::string> names;
  for (const MalformedCase& test : cases) {
    SCOPED_TRACE(test.name);
    EXPECT_TRUE(names.insert(test.name).second) << "the name is taken";
    const std::clock_t start = std::clock();
    const Status status = ReadWhole(read, test.content);
    EXPECT_LT(std::clock() - start, kMaxCpuTime);
    ASSERT_FALSE(status.ok()) << "accepted";
    EXPECT_EQ(status.message().find(kPath + ": "), 0u) << status.message();
    EXPECT_NE(status.message().find(test.expected), std::string::npos)
        << status.message() << "\n  lacks: " << test.expected;
    EXPECT_NE(status.code(), StatusCode::kInternal);
  }
}

void ExpectAcceptance(Reader read, const std::vector<WellFormedFile>& files) {
  for (const WellFormedFile& file : files) {
    const Status status = ReadWhole(read, file.content);
    EXPECT_TRUE(status.ok()) << file.name << ": " << status.message();
  }
}

TEST(MalformedTest, SafetensorsAreRefused) {
  const auto cases = MalformedSafetensors();
  EXPECT_GE(cases.size(), 200u);
  ExpectRefusals(ReadSafetensors, cases);
}

TEST(MalformedTest, GgufFilesAreRefused) {
  const auto cases = MalformedGguf();
  EXPECT_GE(cases.size(), 200u);
  ExpectRefusals(ReadGgufTensors, cases);
}

TEST(MalformedTest, ZipsAreRefused) {
  const auto cases = MalformedZips();
  EXPECT_GE(cases.size(), 100u);
  ExpectRefusals(ReadTorchFile, cases);
}

TEST(MalformedTest, PicklesAreRefused) {
  const auto cases = MalformedPickles();
  EXPECT_GE(cases.size(), 300u);
  ExpectRefusals(ReadTorchFile, cases);
}

TEST(MalformedTest, LegacyFilesAreRefused) {
  const auto cases = MalformedLegacyFiles();
  EXPECT_GE(cases.size(), 50u);
  ExpectRefusals(ReadTorchFile, cases);
}

TEST(MalformedTest, SoundFilesAreAccepted) {
  EXPECT_GE(WellFormedSafetensors().size(), 10u);
  ExpectAcceptance(ReadSafetensors, WellFormedSafetensors());
  EXPECT_GE(WellFormedGguf().size(), 10u);
  ExpectAcceptance(ReadGgufTensors, WellFormedGguf());
  EXPECT_GE(WellFormedTorchFiles().size(), 10u);
  ExpectAcceptance(ReadTorchFile, WellFormedTorchFiles());
}

// The same through a directory, where the message must name the file's path.
class MalformedDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) / "dray_malformed_directory";
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  void Write(const std::string& name, const std::string& content) {
    std::ofstream(dir_ / name, std::ios::binary) << content;
  }

  fs::path dir_;
};

TEST_F(MalformedDirectoryTest, IndexesAreRefused) {
  for (const WellFormedFile& shard : WellFormedShards()) Write(shard.name, shard.content);
  Write("model.safetensors.index.json",
        R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  const auto sound = Checkpoint::Open(dir_);
  ASSERT_TRUE(sound.ok()) << sound.status().message();
  for (const MalformedCase& test : MalformedIndexes()) {
    SCOPED_TRACE(test.name);
    Write("model.safetensors.index.json", test.content);
    const auto checkpoint = Checkpoint::Open(dir_);
    ASSERT_FALSE(checkpoint.ok()) << "accepted";
    const std::string& message = checkpoint.status().message();
    EXPECT_EQ(message.find((dir_ / "model.safetensors.index.json").string()), 0u) << message;
    EXPECT_NE(message.find(test.expected), std::string::npos) << message;
  }
}

TEST_F(MalformedDirectoryTest, FilesAreRefusedByTheirNames) {
  Write("model.safetensors", MalformedSafetensors()[20].content);
  const std::string message = Checkpoint::Open(dir_).status().message();
  EXPECT_EQ(message.find((dir_ / "model.safetensors").string()), 0u) << message;
  fs::remove(dir_ / "model.safetensors");
  for (const MalformedCase& test : MalformedLegacyFiles()) {
    Write("pytorch_model.bin", test.content);
    const auto checkpoint = Checkpoint::Open(dir_);
    ASSERT_FALSE(checkpoint.ok()) << test.name;
    EXPECT_EQ(checkpoint.status().message().find((dir_ / "pytorch_model.bin").string()), 0u);
  }
}

}  // namespace
}  // namespace dray::checkpoint
