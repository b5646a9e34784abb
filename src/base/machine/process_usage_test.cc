#include "base/machine/process_usage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace dray {
namespace {

TEST(ProcessUsageTest, CountsMemoryThatIsWrittenTo) {
  constexpr size_t kBytes = 64 << 20;
  const ProcessUsage before = MeasureProcess();
  void* const memory =
      ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, kBytes);
  const ProcessUsage after = MeasureProcess();
  ::munmap(memory, kBytes);
  EXPECT_GE(after.resident_bytes - before.resident_bytes, static_cast<int64_t>(kBytes * 3 / 4));
  EXPECT_GT(after.cpu_seconds, before.cpu_seconds);
}

TEST(ProcessUsageTest, CountsOpenFiles) {
  const int64_t before = MeasureProcess().open_files;
  EXPECT_GE(before, 3);  // standard input, output and error
  const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  EXPECT_EQ(MeasureProcess().open_files, before + 1);
  ::close(file);
  EXPECT_EQ(MeasureProcess().open_files, before);
}

}  // namespace
}  // namespace dray
