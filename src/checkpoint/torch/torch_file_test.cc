// torch files that torch itself wrote: what must be read, compared byte for byte with what torch
// holds, and what must be refused. tests/golden/make_checkpoint_goldens.py made them.
#include "checkpoint/torch/torch_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/mapped_file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;

const fs::path kGoldens = SourceDir() / "tests/golden/checkpoint";

Json Expected(const char* kind) {
  const auto text = ReadFile(kGoldens / "expected.json", 10'000'000);
  EXPECT_TRUE(text.ok());
  const auto json = Json::Parse(*text);
  EXPECT_TRUE(json.ok());
  return *json->Find(kind);
}

// The elements in row-major order, in hexadecimal.
std::string RowMajorHex(const TensorSource& tensor) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  std::array<int64_t, Shape::kMaxRank> index{};
  for (int64_t n = 0; n < tensor.shape.elements(); ++n) {
    int64_t at = 0;
    for (int i = 0; i < tensor.shape.rank(); ++i) at += index[i] * tensor.strides[i];
    const auto* element = tensor.data + at * static_cast<int64_t>(SizeOf(tensor.dtype));
    for (size_t b = 0; b < SizeOf(tensor.dtype); ++b) {
      out += kDigits[std::to_integer<int>(element[b]) >> 4];
      out += kDigits[std::to_integer<int>(element[b]) & 15];
    }
    for (int i = tensor.shape.rank() - 1; i >= 0 && ++index[i] == tensor.shape[i]; --i)
      index[i] = 0;
  }
  return out;
}

void ExpectTensor(const TensorSource& tensor, const Json& expected) {
  EXPECT_EQ(Name(tensor.dtype), *expected.Find("dtype")->AsString());
  std::vector<int64_t> dims;
  for (const Json& dim : *expected.Find("shape")->AsArray()) dims.push_back(*dim.AsInt64());
  EXPECT_EQ(tensor.shape, Shape(dims));
  EXPECT_EQ(tensor.IsDense(), *expected.Find("dense")->AsBool());
  EXPECT_EQ(RowMajorHex(tensor), *expected.Find("hex")->AsString());
}

TEST(TorchFileTest, ReadsWhatTorchHolds) {
  const Json expected = Expected("accepted");
  ASSERT_GE(expected.AsObject()->size(), 18u);
  for (const auto& [file_name, tensors] : *expected.AsObject()) {
    SCOPED_TRACE(file_name);
    const auto file = MappedFile::Open(kGoldens / "accepted" / file_name);
    ASSERT_TRUE(file.ok());
    const auto content = ReadTorchFile(file->bytes(), file_name);
    ASSERT_TRUE(content.ok()) << content.status().message();
    EXPECT_EQ(content->tensors.size() + content->unreadable.size(), tensors.AsObject()->size());
    for (const TensorSource& tensor : content->tensors) {
      SCOPED_TRACE(tensor.name);
      ASSERT_NE(tensors.Find(tensor.name), nullptr);
      ASSERT_TRUE(tensors.Find(tensor.name)->is_object());
      ExpectTensor(tensor, *tensors.Find(tensor.name));
    }
    for (const UnreadableTensor& tensor : content->unreadable) {
      ASSERT_NE(tensors.Find(tensor.name), nullptr) << tensor.name;
      EXPECT_TRUE(tensors.Find(tensor.name)->is_null()) << tensor.name;
    }
  }
}

TEST(TorchFileTest, SharedStoragesStayShared) {
  const auto file = MappedFile::Open(kGoldens / "accepted/tied.bin");
  ASSERT_TRUE(file.ok());
  const auto content = ReadTorchFile(file->bytes(), "tied.bin");
  ASSERT_TRUE(content.ok());
  ASSERT_EQ(content->tensors.size(), 3u);
  EXPECT_EQ(content->tensors[0].data, content->tensors[1].data);
  EXPECT_EQ(content->tensors[2].data, content->tensors[0].data + 2 * 4 * 2);  // row 2 of 4 f16
}

TEST(TorchFileTest, RefusesWhatIsNoPlainStateDict) {
  const Json expected = Expected("refused");
  ASSERT_GE(expected.AsObject()->size(), 20u);
  for (const auto& [file_name, message] : *expected.AsObject()) {
    SCOPED_TRACE(file_name);
    const auto file = MappedFile::Open(kGoldens / "refused" / file_name);
    ASSERT_TRUE(file.ok());
    const auto content = ReadTorchFile(file->bytes(), file_name);
    ASSERT_FALSE(content.ok());
    EXPECT_EQ(content.status().message().find(file_name), 0u) << content.status().message();
    EXPECT_NE(content.status().message().find(*message.AsString()), std::string::npos)
        << content.status().message();
  }
}

}  // namespace
}  // namespace dray::checkpoint
