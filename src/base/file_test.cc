#include "base/file.h"

#include <gtest/gtest.h>

#include <fstream>

namespace dray {
namespace {

std::filesystem::path WriteSample(const std::string& name, const std::string& content) {
  auto path = std::filesystem::path(testing::TempDir()) / name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

TEST(FileTest, ReadsWholeFilesWithinTheLimit) {
  const auto path = WriteSample("dray_file_test", "hello");
  EXPECT_EQ(*ReadFile(path, 5), "hello");
  EXPECT_EQ(ReadFile(path, 4).status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadFile(path.string() + "_absent", 4).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ReadFile(testing::TempDir(), 4).status().code(), StatusCode::kInvalidArgument);
}

TEST(FileTest, MapsAndReleases) {
  const std::string content(3 * 4096 + 17, 'x');
  auto file = MappedFile::Open(WriteSample("dray_map_test", content));
  ASSERT_TRUE(file.ok());
  file->WillNeed(file->bytes());
  file->Release(file->bytes());
  EXPECT_EQ(static_cast<char>(file->bytes()[3 * 4096 + 16]), 'x');
  EXPECT_EQ(file->bytes().size(), content.size());
}

TEST(FileTest, EmptyFilesMapToNothing) {
  auto file = MappedFile::Open(WriteSample("dray_empty_test", ""));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->bytes().empty());
}

}  // namespace
}  // namespace dray
