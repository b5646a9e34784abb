#include "parallel/processes/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace dray::parallel {
namespace {

// Only bounds a test that hangs.
constexpr std::chrono::milliseconds kLong(60'000);

Result<ChildProcess> StartShell(const std::string& script,
                                std::vector<std::string> variables = {}) {
  return ChildProcess::Start(
      {.program = "/bin/sh", .arguments = {"-c", script}, .environment = std::move(variables)});
}

std::string EndOf(const std::string& script, std::vector<std::string> variables = {}) {
  auto child = StartShell(script, std::move(variables));
  EXPECT_TRUE(child.ok()) << child.status().ToString();
  return child->AwaitEnd(kLong).value_or("still runs");
}

TEST(ChildProcessTest, TellsHowAProcessEnded) {
  EXPECT_EQ(EndOf("exit 3"), "exited with code 3");
  EXPECT_EQ(EndOf("kill -9 $$"), "was ended by signal 9 (Killed)");
}

TEST(ChildProcessTest, VariablesReplaceThoseOfThisProcess) {
  ::setenv("DRAY_TEST_VARIABLE", "old", 1);
  EXPECT_EQ(EndOf("[ $DRAY_TEST_VARIABLE = old ]"), "exited with code 0");
  EXPECT_EQ(EndOf("[ $DRAY_TEST_VARIABLE = new ]", {"DRAY_TEST_VARIABLE=new"}),
            "exited with code 0");
  EXPECT_EQ(EndOf("read line"), "exited with code 1");  // standard input is empty
}

TEST(ChildProcessTest, AStoppedProcessIsToldFromOneThatRuns) {
  auto child = StartShell("while :; do sleep 1; done");
  ASSERT_TRUE(child.ok());
  EXPECT_FALSE(child->IsStopped());
  child->Signal(SIGSTOP);
  while (!child->IsStopped()) {
  }
  EXPECT_TRUE(child->IsStopped());  // asking does not change it
  child->Signal(SIGKILL);
  EXPECT_EQ(child->AwaitEnd(kLong), "was ended by signal 9 (Killed)");
  EXPECT_FALSE(child->IsStopped());
}

TEST(ChildProcessTest, AProgramThatIsNotThereIsNamed) {
  const auto child = ChildProcess::Start({.program = "/no/such/program"});
  EXPECT_EQ(child.status().code(), StatusCode::kNotFound);
  EXPECT_NE(child.status().message().find("/no/such/program"), std::string::npos);
}

}  // namespace
}  // namespace dray::parallel
