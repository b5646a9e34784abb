// Ends that are not orderly: too little memory, and signals that nobody can prepare for.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
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

}  // namespace
}  // namespace dray::testing
