#include "fetch/unpack_archive.h"

#include <gtest/gtest.h>

#include <clocale>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "fetch/testing/pack_archive.h"

namespace dray::fetch {
namespace {

namespace fs = std::filesystem;

class UnpackTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "unpack_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }

  fs::path Pack(const std::string& name, const std::vector<PackedEntry>& entries) {
    PackArchive(root_ / name, entries);
    return root_ / name;
  }

  Status Unpack(const fs::path& archive, UnpackLimits limits = {.max_bytes = 1 << 24}) {
    return UnpackArchive(archive, root_ / "out", limits);
  }
  std::string Read(const std::string& name) {
    std::ifstream file(root_ / "out" / name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // What stands in the root beside the archives.
  std::vector<std::string> Others() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(root_)) {
      if (!HasArchiveName(entry.path())) names.push_back(entry.path().filename());
    }
    return names;
  }
  void ExpectRefused(const fs::path& archive, StatusCode code, const std::string& words,
                     UnpackLimits limits = {.max_bytes = 1 << 24}) {
    const Status status = Unpack(archive, limits);
    EXPECT_EQ(status.code(), code) << status.message();
    EXPECT_NE(status.message().find(words), std::string::npos) << status.message();
    EXPECT_TRUE(Others().empty()) << archive;
  }

  fs::path root_;
};

TEST_F(UnpackTest, EveryKindOfArchiveIsUnpacked) {
  for (const char* name : {"a.zip", "a.mar", "a.tar", "a.tar.gz", "a.tgz", "a.tar.z"}) {
    const auto archive = Pack(name, {{"./m", "", AE_IFDIR},
                                     {"./m/config.json", "{}"},
                                     {"m/deep/er/w.bin", std::string(100'000, 'w')}});
    EXPECT_TRUE(HasArchiveName(archive));
    const Status status = Unpack(archive);
    ASSERT_TRUE(status.ok()) << name << ": " << status.message();
    EXPECT_EQ(Read("m/config.json"), "{}") << name;
    EXPECT_EQ(Read("m/deep/er/w.bin"), std::string(100'000, 'w')) << name;
    EXPECT_EQ(Others(), std::vector<std::string>{"out"});
    // No bits of the archive: not executable, not for others.
    EXPECT_EQ(fs::status(root_ / "out/m/config.json").permissions(),
              fs::perms::owner_read | fs::perms::owner_write);
    fs::remove_all(root_ / "out");
  }
  EXPECT_FALSE(HasArchiveName("model"));
  EXPECT_FALSE(HasArchiveName(".zip"));
}

TEST_F(UnpackTest, NothingLeavesTheTarget) {
  const std::vector<std::pair<PackedEntry, std::string>> cases = {
      {{"../evil", "x"}, "\"..\""},
      {{"m/../../evil", "x"}, "\"..\""},
      {{"/tmp/evil", "x"}, "absolute"},
      {{"m\\evil", "x"}, "backslash"},
      {{"link", "", AE_IFLNK, "/etc/passwd"}, "link or a device"},
      {{"hard", "", AE_IFREG, "m/config.json"}, "link or a device"},
      {{"pipe", "", AE_IFIFO}, "link or a device"},
      {{"device", "", AE_IFCHR}, "link or a device"},
      {{std::string(300, 'n'), "x"}, "255 bytes"},
      {{"a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/1/2/3/4/5/6/7", "x"}, "32 parts"},
      {{"m/config.json", "x"}, "twice"},
      {{"m/config.json/x", "x"}, "as a file and as a folder"}};
  for (const auto& [entry, words] : cases) {
    ExpectRefused(Pack("bad.tar.gz", {{"m/config.json", "{}"}, entry}),
                  StatusCode::kInvalidArgument, words);
  }
  ExpectRefused(Pack("bad.zip", {{"../evil", "x"}}), StatusCode::kInvalidArgument, "\"..\"");
  EXPECT_FALSE(fs::exists("/tmp/evil"));
  EXPECT_FALSE(fs::exists(root_ / "evil"));
}

TEST_F(UnpackTest, BombsAreStopped) {
  const auto zeros = Pack("zeros.tar.gz", {{"z", std::string(8 << 20, '\0')}});
  ExpectRefused(zeros, StatusCode::kResourceExhausted, "larger than 1048576 bytes");
  const auto large =
      Pack("large.tar", {{"a", std::string(600, 'a')}, {"b", std::string(600, 'b')}});
  ExpectRefused(large, StatusCode::kResourceExhausted, "larger than 1199 bytes",
                {.max_bytes = 1199});
  EXPECT_TRUE(Unpack(large, {.max_bytes = 1200}).ok());
  fs::remove_all(root_ / "out");
  ExpectRefused(large, StatusCode::kResourceExhausted, "more than 1 entries",
                {.max_bytes = 1200, .max_entries = 1});
  const auto deep = Pack("deep.tar", {{"a/b/c/d", "x"}});
  ExpectRefused(deep, StatusCode::kResourceExhausted, "more than 2 folders",
                {.max_bytes = 1200, .max_entries = 2});
}

TEST_F(UnpackTest, AHoleAtTheEndBelongsToTheFile) {
  const auto archive =
      Pack("sparse.tar", {{.name = "w", .text = std::string(512, 'w'), .hole_bytes = 100'000}});
  const Status status = Unpack(archive);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(Read("w"), std::string(512, 'w') + std::string(100'000, '\0'));
  fs::remove_all(root_ / "out");
  ExpectRefused(archive, StatusCode::kResourceExhausted, "larger than 100000 bytes",
                {.max_bytes = 100'000});
}

TEST_F(UnpackTest, ANameMayHaveAnyCharacters) {
  const std::string name = "модель/größe.json";
  // The archive has its names in UTF-8; the locale in which it is read does not know such letters.
  const std::string locale = std::setlocale(LC_CTYPE, nullptr);
  ASSERT_NE(std::setlocale(LC_CTYPE, "C.UTF-8"), nullptr);
  const auto archive = Pack("utf8.tar", {{name, "{}"}});
  std::setlocale(LC_CTYPE, locale.c_str());
  const Status status = Unpack(archive);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(Read(name), "{}");
}

TEST_F(UnpackTest, DamagedArchivesLeaveNothing) {
  ExpectRefused(root_ / "absent.zip", StatusCode::kNotFound, "absent.zip");
  std::ofstream(root_ / "text.zip") << "no archive at all";
  ExpectRefused(root_ / "text.zip", StatusCode::kCorrupt, "cannot be read");
  std::ofstream(root_ / "empty.tar.gz").flush();
  ExpectRefused(root_ / "empty.tar.gz", StatusCode::kCorrupt, "archive");
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i * 7919);
  const auto whole = Pack("whole.tar.gz", {{"a", text}, {"b", text}});
  const uintmax_t size = fs::file_size(whole);
  for (int part = 1; part < 8; ++part) {
    fs::copy_file(whole, root_ / "cut.tar.gz", fs::copy_options::overwrite_existing);
    fs::resize_file(root_ / "cut.tar.gz", size * static_cast<uintmax_t>(part) / 8);
    const Status status = Unpack(root_ / "cut.tar.gz");
    EXPECT_FALSE(status.ok()) << part;
    EXPECT_TRUE(Others().empty()) << part;
  }
}

}  // namespace
}  // namespace dray::fetch
