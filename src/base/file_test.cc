#include "base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <functional>

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

TEST(FileTest, AnEntryThatCannotBeLookedUpIsNotAbsent) {
  const auto path = WriteSample("dray_entry_test", "x");
  EXPECT_TRUE(HasEntry(path));
  EXPECT_FALSE(HasEntry(path.string() + "_absent"));
  EXPECT_FALSE(HasEntry(path / "below_a_file"));
  // A link to itself cannot be followed, nor can a name that is longer than any.
  const auto loop = std::filesystem::path(testing::TempDir()) / "dray_loop_test";
  std::filesystem::remove(loop);
  std::filesystem::create_symlink(loop, loop);
  EXPECT_TRUE(HasEntry(loop / "config.json"));
  EXPECT_FALSE(CheckFolderReadable(loop).ok());
  std::filesystem::remove(loop);
}

// Runs `body` without root's right to read everything.
void AsNobody(const std::function<void()>& body) {
  constexpr uid_t kNobody = 65534;
  const bool is_root = ::geteuid() == 0;
  ASSERT_EQ(is_root ? ::seteuid(kNobody) : 0, 0);
  body();
  ASSERT_EQ(is_root ? ::seteuid(0) : 0, 0);
}

TEST(FileTest, AFolderThatCannotBeReadIsToldFromAnEmptyOne) {
  namespace fs = std::filesystem;
  const auto dir = fs::temp_directory_path() / "dray_unreadable_test";
  fs::remove_all(dir);
  fs::create_directory(dir);
  EXPECT_TRUE(CheckFolderReadable(dir).ok());
  EXPECT_EQ(CheckFolderReadable(dir / "absent").code(), StatusCode::kNotFound);
  for (const fs::perms rights :
       {fs::perms::none,
        fs::perms::all & ~fs::perms::others_exec & ~fs::perms::group_exec & ~fs::perms::owner_exec,
        fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec}) {
    fs::permissions(dir, rights);
    AsNobody([&] {
      const Status status = CheckFolderReadable(dir);
      EXPECT_EQ(status.code(), StatusCode::kIo);
      EXPECT_NE(status.message().find("Permission denied"), std::string::npos) << status.message();
    });
  }
  fs::permissions(dir, fs::perms::none);
  AsNobody([&] { EXPECT_TRUE(HasEntry(dir / "config.json")); });
  fs::permissions(dir, fs::perms::all);
  fs::remove_all(dir);
}

}  // namespace
}  // namespace dray
