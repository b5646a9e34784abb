#include "base/machine/temporary_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

namespace dray {
namespace {

namespace fs = std::filesystem;

class TemporaryFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "temporary_folder_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }
  // As a killed process leaves it: not locked, and some time old.
  void MakeOld(const fs::path& folder) {
    const timespec times[2] = {{1000, 0}, {1000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, folder.c_str(), times, 0), 0);
  }

  fs::path root_;
};

TEST_F(TemporaryFolderTest, IsRemovedWithItsObject) {
  fs::path path;
  {
    auto made = TemporaryFolder::Make(root_, "a-");
    ASSERT_TRUE(made.ok()) << made.status().message();
    const TemporaryFolder moved = std::move(*made);
    path = moved.path();
    std::ofstream(path / "file") << "x";
    EXPECT_TRUE(path.filename().string().starts_with("a-"));
    EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(TemporaryFolderTest, WhatAKilledProcessLeftIsRemoved) {
  for (const char* name : {"a-stale1", "b-other1"}) {
    fs::create_directories(root_ / name / "deep");
    MakeOld(root_ / name);
  }
  fs::create_directory_symlink(root_ / "b-other1", root_ / "a-link01");
  const auto used = TemporaryFolder::Make(root_, "a-");
  ASSERT_TRUE(used.ok());
  EXPECT_FALSE(fs::exists(root_ / "a-stale1"));
  // Of another prefix, in use, and a link.
  MakeOld(used->path());
  const auto next = TemporaryFolder::Make(root_, "a-");
  EXPECT_TRUE(fs::exists(root_ / "b-other1" / "deep"));
  EXPECT_TRUE(fs::exists(used->path()));
  EXPECT_TRUE(fs::is_symlink(root_ / "a-link01"));
}

TEST_F(TemporaryFolderTest, AParentThatIsNotThereIsNamed) {
  const auto made = TemporaryFolder::Make(root_ / "absent", "a-");
  EXPECT_EQ(made.status().code(), StatusCode::kIo);
  EXPECT_NE(made.status().message().find("absent"), std::string::npos);
}

}  // namespace
}  // namespace dray
