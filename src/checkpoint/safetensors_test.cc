// The format's rules on handmade bytes; malformed_files_test.cc has the long list of refusals.
#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

namespace dray::checkpoint {
namespace {

std::string FileBytes(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  std::string out(reinterpret_cast<const char*>(&size), sizeof(size));
  return out + header + data;
}

class SafetensorsTest : public testing::Test {
 protected:
  Result<FileContent> Read(const std::string& content) {
    content_ = content;
    return ReadSafetensors(std::as_bytes(std::span(content_)), kPath);
  }

  static constexpr const char* kPath = "some/model.safetensors";
  std::string content_;
};

TEST_F(SafetensorsTest, ReadsTensorsInPlace) {
  const auto content = Read(FileBytes(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]},)"
      R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}   )",
      "abcd" + std::string(24, '\1')));
  ASSERT_TRUE(content.ok()) << content.status().message();
  ASSERT_EQ(content->tensors.size(), 2u);
  const TensorSource& a = content->tensors[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.dtype, DType::kU8);
  EXPECT_EQ(a.shape, Shape({4}));
  EXPECT_EQ(std::memcmp(a.bytes().data(), "abcd", 4), 0);
  const TensorSource& b = content->tensors[1];
  EXPECT_EQ(b.shape, Shape({2, 3}));
  EXPECT_TRUE(b.IsDense());
  EXPECT_EQ(b.strides[0], 3);
  EXPECT_EQ(b.strides[1], 1);
  EXPECT_EQ(b.bytes().size(), 24u);
  EXPECT_EQ(b.data, a.data + 4);
}

TEST_F(SafetensorsTest, ScalarsAndTensorsWithoutElements) {
  const auto content = Read(FileBytes(
      R"({"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"e":{"dtype":"F16","shape":[3,0],"data_offsets":[8,8]}})",
      std::string(8, '\0')));
  ASSERT_TRUE(content.ok()) << content.status().message();
  EXPECT_EQ(content->tensors[0].shape.rank(), 0);
  EXPECT_EQ(content->tensors[0].bytes().size(), 8u);
  EXPECT_TRUE(content->tensors[1].bytes().empty());
}

TEST_F(SafetensorsTest, KeepsWhatItCannotRepresentAside) {
  const auto content =
      Read(FileBytes(R"({"w":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},)"
                     R"("r":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[2,3]},)"
                     R"("n":{"dtype":"F4","shape":[2],"data_offsets":[3,4]}})",
                     "abcd"));
  ASSERT_TRUE(content.ok()) << content.status().message();
  EXPECT_TRUE(content->tensors.empty());
  ASSERT_EQ(content->unreadable.size(), 3u);
  EXPECT_NE(content->unreadable[0].reason.find("F8_E4M3"), std::string::npos);
  EXPECT_NE(content->unreadable[1].reason.find("9 dimensions"), std::string::npos);
}

TEST_F(SafetensorsTest, RefusalsNameTheFileAndTheField) {
  const auto refused = [&](const std::string& header, const std::string& data,
                           const char* expected) {
    const auto content = Read(FileBytes(header, data));
    ASSERT_FALSE(content.ok()) << header;
    EXPECT_NE(content.status().message().find(expected), std::string::npos)
        << content.status().message();
    EXPECT_EQ(content.status().message().find(kPath), 0u) << content.status().message();
  };
  refused(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
      "12345678", "\"a\" stands twice");
  refused(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      "1234", "overlapping");
  refused(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[5,9]}})",
      "123456789", "leaving a hole");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "12345",
          "5 data bytes follow");
  refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "1234", "takes 64 bits");
  refused(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", "",
          "overflows");
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", "1234",
          "not a range within");
  refused(R"([1])", "", "does not start with '{'");
}

}  // namespace
}  // namespace dray::checkpoint
