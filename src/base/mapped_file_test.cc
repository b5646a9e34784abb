// Files that change while they are mapped: every change is told, and none ends the process.
#include "base/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace dray {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPage = 4096;
constexpr size_t kLarge = MappedFile::kReadBytes + 100 * kPage + 17;

fs::path Write(const std::string& name, size_t size, char fill = 'x') {
  auto path = fs::path(testing::TempDir()) / name;
  std::ofstream(path, std::ios::binary) << std::string(size, fill);
  return path;
}

MappedFile MustOpen(const fs::path& path) {
  auto file = MappedFile::Open(path);
  EXPECT_TRUE(file.ok()) << file.status().message();
  return std::move(file).value();
}

// Reads one byte of every page.
void TouchAll(const MappedFile& file) {
  const auto* bytes = reinterpret_cast<const volatile char*>(file.bytes().data());
  for (size_t i = 0; i < file.bytes().size(); i += kPage) static_cast<void>(bytes[i]);
}

void ExpectChanged(const MappedFile& file, const std::string& what) {
  const Status status = file.CheckUnchanged();
  EXPECT_EQ(status.code(), StatusCode::kCorrupt) << what;
  EXPECT_NE(status.message().find(file.path().string()), std::string::npos) << what;
  EXPECT_NE(status.message().find("the file changed"), std::string::npos) << status.message();
}

TEST(MappedFileTest, MapsAndReleases) {
  const MappedFile file = MustOpen(Write("dray_map", kLarge));
  file.WillNeed(file.bytes());
  EXPECT_EQ(static_cast<char>(file.bytes()[kLarge - 1]), 'x');
  file.Release(file.bytes());
  EXPECT_EQ(static_cast<char>(file.bytes()[kLarge - 1]), 'x');
  EXPECT_EQ(file.bytes().size(), kLarge);
  EXPECT_FALSE(file.damaged());
  EXPECT_TRUE(file.CheckUnchanged().ok());
}

TEST(MappedFileTest, SmallFilesAreReadAndStayAsTheyWere) {
  for (const size_t size : {size_t{1}, kPage + 1, MappedFile::kReadBytes}) {
    const fs::path path = Write("dray_small", size);
    const MappedFile file = MustOpen(path);
    file.Release(file.bytes());
    fs::resize_file(path, 0);
    EXPECT_EQ(static_cast<char>(file.bytes()[size - 1]), 'x');
    ExpectChanged(file, "a small file");
    EXPECT_FALSE(file.damaged());
  }
  const MappedFile empty = MustOpen(Write("dray_small", 0));
  EXPECT_TRUE(empty.bytes().empty());
  EXPECT_TRUE(empty.CheckUnchanged().ok());
}

TEST(MappedFileTest, AFileThatIsCutShortReadsAsZerosAndIsAnError) {
  for (const size_t left : {size_t{0}, size_t{1}, kPage, kPage + 1, kLarge / 2, kLarge - kPage}) {
    const fs::path path = Write("dray_cut", kLarge);
    const MappedFile file = MustOpen(path);
    fs::resize_file(path, left);
    TouchAll(file);
    EXPECT_TRUE(file.damaged()) << left;
    EXPECT_EQ(static_cast<char>(file.bytes()[kLarge - 1]), '\0') << left;
    ExpectChanged(file, "cut short");
  }
}

TEST(MappedFileTest, ManyThreadsMayMeetTheLostPagesAtOnce) {
  const fs::path path = Write("dray_threads", kLarge);
  const MappedFile file = MustOpen(path);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        TouchAll(file);
        file.Release(file.bytes());
      }
    });
  }
  fs::resize_file(path, kPage);
  for (std::thread& thread : threads) thread.join();
  TouchAll(file);
  EXPECT_TRUE(file.damaged());
}

TEST(MappedFileTest, OnlyTheFileThatWasCutIsDamaged) {
  const fs::path path = Write("dray_one_of_two", kLarge);
  const MappedFile whole = MustOpen(Write("dray_other_of_two", kLarge));
  MappedFile moved = MustOpen(path);
  const MappedFile cut = std::move(moved);
  fs::resize_file(path, 0);
  TouchAll(cut);
  TouchAll(whole);
  EXPECT_TRUE(cut.damaged());
  EXPECT_FALSE(whole.damaged());
  EXPECT_TRUE(whole.CheckUnchanged().ok());
  // A later mapping, which may use what the ended one left, starts sound.
  { const MappedFile ended = MustOpen(Write("dray_one_of_two", kLarge)); }
  const MappedFile next = MustOpen(Write("dray_one_of_two", kLarge));
  EXPECT_FALSE(next.damaged());
}

TEST(MappedFileTest, EveryOtherChangeIsSeenAfterwards) {
  const std::pair<const char*, std::function<void(const fs::path&)>> changes[] = {
      {"appended to", [](const fs::path& path) { std::ofstream(path, std::ios::app) << "y"; }},
      {"written over", [](const fs::path& path) { Write(path.filename(), kLarge, 'y'); }},
      {"one byte written",
       [](const fs::path& path) {
         std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
         file.seekp(kLarge / 2);
         file << "y";
       }},
      {"cut and grown again",
       [](const fs::path& path) {
         fs::resize_file(path, 10);
         fs::resize_file(path, kLarge);
       }},
      {"replaced",
       [](const fs::path& path) { fs::rename(Write("dray_replacement", kLarge), path); }},
      {"written over, and its time restored",
       [](const fs::path& path) {
         const auto time = fs::last_write_time(path);
         Write(path.filename(), kLarge, 'y');
         fs::last_write_time(path, time);
       }},
  };
  for (const auto& [what, change] : changes) {
    const fs::path path = Write("dray_changed", kLarge);
    const MappedFile file = MustOpen(path);
    TouchAll(file);
    ASSERT_TRUE(file.CheckUnchanged().ok()) << what;
    // The kernel's file times advance in steps of up to 10 ms.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    change(path);
    TouchAll(file);
    ExpectChanged(file, what);
  }
  const MappedFile gone = MustOpen(Write("dray_gone", kLarge));
  fs::remove(gone.path());
  EXPECT_EQ(gone.CheckUnchanged().code(), StatusCode::kNotFound);
}

// Reads behind the end of a file that no MappedFile has mapped.
void ReadLostPage() {
  const fs::path path = Write("dray_unguarded", 2 * kPage);
  const int fd = ::open(path.c_str(), O_RDONLY);
  const auto* data =
      static_cast<const volatile char*>(::mmap(nullptr, 2 * kPage, PROT_READ, MAP_SHARED, fd, 0));
  fs::resize_file(path, 0);
  static_cast<void>(data[kPage]);
}

TEST(MappedFileDeathTest, OtherFaultsEndTheProcessAsEver) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const MappedFile file = MustOpen(Write("dray_guarded", kLarge));
        ReadLostPage();
      },
      "");
}

TEST(MappedFileDeathTest, AnEarlierHandlerIsCalledForThem) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        struct sigaction action {};
        action.sa_handler = [](int) { ::_exit(42); };
        ::sigaction(SIGBUS, &action, nullptr);
        const MappedFile file = MustOpen(Write("dray_guarded", kLarge));
        ReadLostPage();
      },
      testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace dray
