// Reading GGUF files that the `gguf` package wrote, and which files make a model. Damaged ones are
// in malformed_gguf.cc.
#include "checkpoint/gguf/gguf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/file.h"
#include "base/testing/source_dir.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/integers/block_tensor.h"

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;

fs::path GgufDir() { return SourceDir() / "tests/golden/gguf"; }

// Bit for bit: the same products and sums, each rounded once.
TEST(BlockFormatTest, DecodesAsTheGgufPackageDoes) {
  const auto checkpoint = Checkpoint::Open(GgufDir() / "blocks.gguf");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  int formats = 0;
  for (const TensorSource& tensor : checkpoint->tensors()) {
    if (tensor.blocks == nullptr) continue;
    SCOPED_TRACE(tensor.name);
    ++formats;
    EXPECT_EQ(tensor.StorageName(), tensor.name);
    const TensorSource* wanted = checkpoint->Find(tensor.name + ".decoded");
    ASSERT_NE(wanted, nullptr);
    ASSERT_TRUE(wanted->shape == tensor.shape);
    const auto count = static_cast<size_t>(tensor.shape.elements());
    std::vector<float> decoded(count);
    DecodeBlocks(*tensor.blocks, tensor.data, tensor.shape.elements(), decoded.data());
    std::vector<float> expected(count);
    ASSERT_EQ(wanted->bytes().size(), count * sizeof(float));
    std::memcpy(expected.data(), wanted->data, count * sizeof(float));
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(decoded[i]), std::bit_cast<uint32_t>(expected[i]))
          << "element " << i << ": " << decoded[i] << ", not " << expected[i];
    }
  }
  EXPECT_EQ(formats, 10);
}

// The kernels' integers stand for the same bits, in whatever order rows are asked for.
TEST(BlockTensorTest, UnpacksWhatTheBlocksDecodeTo) {
  const auto checkpoint = Checkpoint::Open(GgufDir() / "blocks.gguf");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  for (const TensorSource& tensor : checkpoint->tensors()) {
    if (tensor.blocks == nullptr) continue;
    SCOPED_TRACE(tensor.name);
    const BlockTensor integers(tensor);
    const int64_t cols = tensor.shape[1];
    kernels::QuantizedBuffer buffer;
    for (const auto& rows : {std::vector<int64_t>{2, 0, 3}, {1}}) {
      const kernels::QuantizedRows unpacked = integers.Unpack(rows, integers.all_columns(), buffer);
      ASSERT_EQ(unpacked.rows, static_cast<int64_t>(rows.size()));
      ASSERT_EQ(unpacked.cols, cols);
      std::vector<float> floats(static_cast<size_t>(cols)), expected(floats.size());
      for (size_t r = 0; r < rows.size(); ++r) {
        const auto bytes = integers.BytesOfRows(rows[r], 1);
        DecodeBlocks(*tensor.blocks, bytes.data(), cols, expected.data());
        unpacked.ToFloats(static_cast<int64_t>(r), floats.data());
        EXPECT_EQ(floats, expected) << "row " << rows[r];
      }
    }
    EXPECT_EQ(KeepsIntegers(integers.form(), integers.Unpack(std::vector<int64_t>{0},
                                                             integers.all_columns(), buffer)),
              tensor.name == "Q4_0" || tensor.name == "Q4_1" || tensor.name == "Q4_K");
  }
}

// Ranges that begin and end between blocks, between groups of a block, and anywhere.
TEST(BlockTensorTest, ColumnsAreThoseOfTheWholeRows) {
  const auto checkpoint = Checkpoint::Open(GgufDir() / "blocks.gguf");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  for (const TensorSource& tensor : checkpoint->tensors()) {
    if (tensor.blocks == nullptr) continue;
    SCOPED_TRACE(tensor.name);
    const BlockTensor integers(tensor);
    const int64_t cols = integers.cols();
    const std::vector<int64_t> rows = {3, 1};
    kernels::QuantizedBuffer whole_buffer, buffer;
    const auto whole = integers.Unpack(rows, integers.all_columns(), whole_buffer);
    std::vector<float> expected(static_cast<size_t>(cols)), floats(static_cast<size_t>(cols));
    for (const int64_t begin : {int64_t{0}, int64_t{5}, int64_t{32}, cols / 2, cols - 1}) {
      for (const int64_t count : {int64_t{1}, int64_t{48}, int64_t{64}, cols - begin}) {
        if (begin + count > cols) continue;
        SCOPED_TRACE(testing::Message() << count << " columns from " << begin);
        const auto part = integers.Unpack(rows, {begin, count}, buffer);
        ASSERT_EQ(part.cols, count);
        for (int64_t r = 0; r < part.rows; ++r) {
          whole.ToFloats(r, expected.data());
          part.ToFloats(r, floats.data());
          EXPECT_TRUE(std::equal(floats.begin(), floats.begin() + count, expected.begin() + begin));
        }
        const kernels::MatrixSpec form = integers.FormOf({begin, count});
        EXPECT_EQ(form.cols, count);
        EXPECT_EQ(form.format == integers.form().format,
                  begin % 32 == 0 || integers.form().group == 0);
      }
    }
  }
}

TEST(GgufTest, MetadataKeepsItsKinds) {
  const auto metadata = ReadMetadata(GgufDir() / "llama-rope-yarn.gguf");
  ASSERT_TRUE(metadata.ok()) << metadata.status().message();
  EXPECT_EQ(*metadata->Find("general.architecture"), Json("llama"));
  EXPECT_EQ(*metadata->Find("llama.block_count"), Json(2));
  EXPECT_EQ(*metadata->Find("llama.attention.layer_norm_rms_epsilon"), Json(1e-05));
  EXPECT_EQ(*metadata->Find("llama.rope.scaling.type"), Json("yarn"));
}

TEST(GgufTest, ShapesAreRowMajor) {
  const auto checkpoint = Checkpoint::Open(GgufDir() / "llama-gqa.gguf");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->format(), "gguf");
  const TensorSource* table = checkpoint->Find("token_embd.weight");
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->shape.ToString(), "[283, 42]");
  EXPECT_TRUE(table->IsDense());
}

TEST(GgufTest, PartsAreOneModel) {
  const auto first = Checkpoint::Open(GgufDir() / "qwen2-00001-of-00003.gguf");
  const auto last = Checkpoint::Open(GgufDir() / "qwen2-00003-of-00003.gguf");
  ASSERT_TRUE(first.ok() && last.ok());
  EXPECT_EQ(first->files().size(), 3u);
  EXPECT_EQ(first->tensors().size(), last->tensors().size());
  EXPECT_NE(last->metadata().Find("qwen2.block_count"), nullptr);
}

class GgufFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::path(testing::TempDir()) / "dray_gguf_files";
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  void Put(const std::string& from, const std::string& to) const {
    fs::copy_file(GgufDir() / from, dir_ / to);
  }

  fs::path dir_;
};

TEST_F(GgufFilesTest, ADirectoryWithOneModelIsEnough) {
  Put("llama-gqa.gguf", "any name.gguf");
  Put("llama-gqa.gguf", "mmproj-model.gguf");
  const auto checkpoint = Checkpoint::Open(dir_);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->files(), std::vector<fs::path>{dir_ / "any name.gguf"});
}

TEST_F(GgufFilesTest, OfTwoModelsOneMustBeNamed) {
  Put("llama-gqa.gguf", "a.gguf");
  Put("qwen3.gguf", "b.gguf");
  const auto both = Checkpoint::Open(dir_);
  EXPECT_EQ(both.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(both.status().message().find("name one of the files"), std::string::npos);
  EXPECT_TRUE(Checkpoint::Open(dir_ / "b.gguf").ok());
}

TEST_F(GgufFilesTest, AMissingPartIsNamed) {
  Put("qwen2-00001-of-00003.gguf", "m-00001-of-00003.gguf");
  Put("qwen2-00003-of-00003.gguf", "m-00003-of-00003.gguf");
  const auto checkpoint = Checkpoint::Open(dir_);
  EXPECT_EQ(checkpoint.status().code(), StatusCode::kNotFound);
  EXPECT_NE(checkpoint.status().message().find("m-00002-of-00003.gguf is missing"),
            std::string::npos)
      << checkpoint.status().message();
}

TEST_F(GgufFilesTest, NamesThatOnlyLookLikeParts) {
  for (const char* name : {"m-00004-of-00003.gguf", "m-00000-of-00003.gguf", "m-1-of-3.gguf",
                           "-00001-of-00003.gguf", "m-0000a-of-00003.gguf"}) {
    Put("llama-gqa.gguf", name);
    const auto parts = FindGgufParts(dir_ / name);
    ASSERT_TRUE(parts.ok()) << parts.status().message();
    EXPECT_EQ(parts->size(), 1u) << name;
  }
}

TEST_F(GgufFilesTest, AnAbsentFileIsNotFound) {
  EXPECT_EQ(Checkpoint::Open(dir_ / "none.gguf").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace dray::checkpoint
