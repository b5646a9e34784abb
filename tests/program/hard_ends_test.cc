// Ends that are not orderly: too little memory, and signals that nobody can prepare for.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "testing/process.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// Whatever the moment at which memory runs out, the end is an error with a message and an exit code.
TEST(HardEndsTest, LittleMemoryIsAnErrorThatSaysSo) {
  for (const char* command : {"generate demo -p One -n 2", "inspect demo", "tokenize demo One"}) {
    int failed = 0;
    // From little more than the program's libraries need to enough for the demo.
    for (const int kilobytes : {35'000, 45'000, 60'000, 80'000, 100'000, 200'000, 500'000}) {
      const std::string line =
          "ulimit -v " + std::to_string(kilobytes) + "; exec \"$0\" " + command;
      const auto result = RunProcess({"/bin/sh", "-c", line, DRAY_PROGRAM});
      if (result.exit_code == 0) continue;
      // The system's loader found no memory for the libraries, and dray has not begun.
      if (result.exit_code == 127) continue;
      ++failed;
      EXPECT_EQ(result.exit_code, 1) << line << ": " << result.errors;
      EXPECT_NE(result.errors.find("dray"), std::string::npos) << line << ": " << result.errors;
      EXPECT_EQ(result.errors.find("terminate called"), std::string::npos) << result.errors;
    }
    EXPECT_TRUE(failed > 0 || !std::string(command).starts_with("generate"));
  }
}
#endif

// A folder for the demo model's files, which must be empty again.
class DemoFilesTest : public ::testing::Test {
 protected:
  DemoFilesTest() : dir_(fs::path(::testing::TempDir()) / "demo-files") {
    fs::remove_all(dir_);
    fs::create_directory(dir_);
  }
  std::vector<std::string> Command(const std::vector<std::string>& arguments) const {
    std::vector<std::string> argv = {"/usr/bin/env", "TMPDIR=" + dir_.string(), DRAY_PROGRAM};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return argv;
  }
  const fs::path dir_;
};

TEST_F(DemoFilesTest, NothingStaysBehindWhenASignalEndsTheServer) {
  for (const int signal : {SIGHUP, SIGKILL, SIGTERM, SIGQUIT}) {
    Process process(Command({"serve", "demo", "--port", "0"}));
    ASSERT_TRUE(process.ReadUntil("serving demo on ")) << process.output();
    process.Signal(signal);
    if (signal == SIGTERM) process.Signal(signal);
    process.Wait();
    EXPECT_TRUE(fs::is_empty(dir_)) << "signal " << signal;
  }
}

TEST_F(DemoFilesTest, NothingStaysBehindWhenASignalEndsACommand) {
  for (const int signal : {SIGHUP, SIGKILL, SIGTERM, SIGINT}) {
    Process process(Command({"generate", "demo", "-p", "One day", "-n", "400", "--ignore-eos"}));
    // Loading is over shortly after it says so.
    for (int i = 0; i < 500 && process.output().empty(); ++i) process.ReadLine(20);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    process.Signal(signal);
    process.Wait();
    EXPECT_TRUE(fs::is_empty(dir_)) << "signal " << signal;
  }
}

TEST_F(DemoFilesTest, MeasuringLeavesNothingBehindWhenItIsKilled) {
  Process process(
      Command({"bench", "demo", "--run", "decode", "--dtype", "fp32,bf16", "--repeats", "100"}));
  // A folder comes to load the model, and goes when it is loaded.
  while (fs::is_empty(dir_) && !process.ReadLine(1)) {
  }
  for (int i = 0; i < 5000 && !fs::is_empty(dir_); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_TRUE(fs::is_empty(dir_));
  process.Signal(SIGKILL);
  process.Wait();
}

// A process that is killed while it loads leaves its files; the next one to start removes them.
TEST_F(DemoFilesTest, WhatAKilledProcessLeftIsRemovedByTheNextOne) {
  const fs::path used = dir_ / "dray-demo-used00";
  const fs::path fresh = dir_ / "dray-demo-fresh0";
  const fs::path foreign = dir_ / "other-demo-000000";
  const fs::path file = dir_ / "dray-demo-a-file";
  const std::vector<fs::path> left = {dir_ / "dray-demo-left00", dir_ / "dray-demo-left01"};
  for (const fs::path& dir : {used, fresh, foreign, left[0], left[1]}) {
    fs::create_directory(dir);
    std::ofstream(dir / "config.json") << "{}";
  }
  std::ofstream(file) << "x";
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (const fs::path& path : {used, foreign, file, left[0], left[1]})
    fs::last_write_time(path, old);
  const int lock = ::open(used.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::flock(lock, LOCK_EX | LOCK_NB), 0);
  fs::create_directory_symlink(left[0], dir_ / "dray-demo-link00");

  auto inspect = Process(Command({"inspect", "demo", "--summary"}));
  EXPECT_EQ(inspect.Wait(), 0) << inspect.output();
  for (const fs::path& dir : left) EXPECT_FALSE(fs::exists(dir)) << dir;
  for (const fs::path& path : {used, fresh, foreign}) {
    EXPECT_TRUE(fs::exists(path / "config.json")) << path;
  }
  EXPECT_TRUE(fs::exists(file));
  EXPECT_TRUE(fs::is_symlink(dir_ / "dray-demo-link00"));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 5);
  ::close(lock);
}

TEST_F(DemoFilesTest, AKillWhileLoadingIsMadeGoodByTheNextStart) {
  for (int i = 0; i < 5; ++i) {
    Process process(Command({"generate", "demo", "-p", "One day", "-n", "1"}));
    // Until there is a folder, which the process then fills and loads.
    while (fs::is_empty(dir_) && !process.ReadLine(1)) {
    }
    process.Signal(SIGKILL);
    process.Wait();
  }
  for (const auto& entry : fs::directory_iterator(dir_)) {
    fs::last_write_time(entry.path(), fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  EXPECT_EQ(RunProcess(Command({"inspect", "demo", "--summary"})).exit_code, 0);
  EXPECT_TRUE(fs::is_empty(dir_));
}

}  // namespace
}  // namespace dray::testing
