// Groups and links over MPI, in jobs that mpirun starts on this machine.
#include <gtest/gtest.h>

#include <string>

#include "testing/process.h"

namespace dray::parallel {
namespace {

using testing::ProcessResult;
using testing::RunProcess;

ProcessResult RunJob(int world, const std::string& command) {
  return RunProcess({DRAY_MPIRUN, "--allow-run-as-root", "--oversubscribe", "-np",
                     std::to_string(world), DRAY_MPI_RANK_PROGRAM, DRAY_MPI_LIBRARY, command});
}

void ExpectPrinted(const ProcessResult& job, const std::string& text) {
  EXPECT_NE(job.output.find(text), std::string::npos) << job.output << job.errors;
}

TEST(MpiTest, GroupsPassTheCasesOfAllCommunicators) {
  for (const int world : {1, 2, 3, 4}) {
    const ProcessResult job = RunJob(world, "cases");
    EXPECT_EQ(job.exit_code, 0) << world << ": " << job.output << job.errors;
  }
}

TEST(MpiTest, MessagesPassOverALink) {
  const ProcessResult job = RunJob(2, "link");
  EXPECT_EQ(job.exit_code, 0) << job.output << job.errors;
}

TEST(MpiTest, ARankThatDoesNotComeIsNamedAtAllRanks) {
  const ProcessResult job = RunJob(2, "late");
  EXPECT_NE(job.exit_code, 0);
  ExpectPrinted(job,
                "rank 0 found: unavailable: rank 1 of 2 did not come to a sum of 100 numbers "
                "within 300 ms");
  ExpectPrinted(job, "rank 1 heard: rank 1 of 2 did not come to a sum of 100 numbers");
}

TEST(MpiTest, AbortEndsTheGroupAtAllRanks) {
  const ProcessResult job = RunJob(2, "abort");
  EXPECT_NE(job.exit_code, 0);
  ExpectPrinted(job, "rank 0: cancelled: enough");
  ExpectPrinted(job, "rank 0 again: cancelled: enough");
}

TEST(MpiTest, RefusesWhatItCannotBe) {
  const ProcessResult job = RunJob(1, "refusals");
  EXPECT_EQ(job.exit_code, 0) << job.errors;
  EXPECT_EQ(job.output,
            "invalid argument: a group whose calls have up to 0 numbers: over MPI it must be 1 to "
            "536870911\n"
            "invalid argument: a group whose calls have up to 536870912 numbers: over MPI it must "
            "be 1 to 536870911\n"
            "invalid argument: channel 4096: it must be 0 to 4095\n"
            "invalid argument: rank 1 of the job: mpirun has started 0 to 0\n"
            "invalid argument: process 0 of the job is no member of the group of 1\n"
            "invalid argument: a link whose messages have up to 0 bytes: it must be 1 to "
            "4294967296\n"
            "invalid argument: rank 1 of the job: mpirun has started 0 to 0\n"
            "invalid argument: a link over MPI from rank 0 to rank 0 for messages of 2147483648 "
            "bytes, at rank 0 of the job: messages may have up to 2147483647\n");
}

TEST(MpiTest, StartsOnceInAProcess) {
  ExpectPrinted(RunJob(1, "again"), "unsupported: MPI has been started in this process before");
}

}  // namespace
}  // namespace dray::parallel
