// The forced and the automatic choice of the instruction set, and which one really runs.
#include "kernels/cpu/dispatch.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/machine/cpu_info.h"
#include "base/testing/scarce_threads.h"
#include "kernels/testing/backend_test.h"

namespace dray::kernels {
namespace {

// Sets DRAY_ISA for one test and puts it back.
class ScopedIsaVariable {
 public:
  explicit ScopedIsaVariable(const char* value) {
    const char* old = std::getenv("DRAY_ISA");
    if (old != nullptr) old_ = old;
    ::setenv("DRAY_ISA", value, 1);
  }
  ~ScopedIsaVariable() {
    if (old_.empty()) {
      ::unsetenv("DRAY_ISA");
    } else {
      ::setenv("DRAY_ISA", old_.c_str(), 1);
    }
  }

 private:
  std::string old_;
};

TEST(DispatchTest, AForcedIsaIsTheOneThatRuns) {
  for (const std::string& name : IsaNames()) {
    EXPECT_EQ(MakeTestBackend(name, 1)->isa(), name);
    const ScopedIsaVariable variable(name.c_str());
    EXPECT_EQ(MakeTestBackend("", 1)->isa(), name);
    EXPECT_EQ(MakeTestBackend("portable", 1)->isa(), "portable") << "the option comes first";
  }
}

TEST(DispatchTest, WithoutForceTheBestOfThisProcessor) {
  const ScopedIsaVariable variable("");
  const CpuFeatures& cpu = DetectCpuFeatures();
  const std::string best = cpu.avx512_bf16 && cpu.avx512_vnni ? "avx512-bf16"
                           : cpu.avx512_vnni                  ? "avx512-vnni"
                           : cpu.avx512                       ? "avx512"
                           : cpu.avx_vnni                     ? "avx-vnni"
                           : cpu.avx2                         ? "avx2"
                                                              : "portable";
  const auto backend = MakeTestBackend("", 3);
  EXPECT_EQ(backend->isa(), best);
  EXPECT_EQ(backend->Describe(), "cpu " + best + ", 3 threads");
}

TEST(DispatchTest, UnknownIsRefusedWithWhatThereIs) {
  const auto backend = MakeBackend({.cpu = {.num_threads = 1, .isa = "mmx"}});
  ASSERT_FALSE(backend.ok());
  EXPECT_EQ(backend.status().code(), StatusCode::kUnsupported);
  EXPECT_NE(backend.status().message().find("'mmx'"), std::string::npos);
  EXPECT_NE(backend.status().message().find("portable"), std::string::npos);
  const ScopedIsaVariable variable("neon");
  const auto by_variable = MakeBackend({.cpu = {.num_threads = 1}});
  ASSERT_FALSE(by_variable.ok());
  EXPECT_NE(by_variable.status().message().find("DRAY_ISA"), std::string::npos);
}

TEST(DispatchTest, NegativeThreadsAreRefused) {
  EXPECT_FALSE(MakeBackend({.cpu = {.num_threads = -1}}).ok());
}

TEST(DispatchTest, ASystemWithoutThreadsIsAnError) {
  BackendOptions options;
  options.cpu.num_threads = 8;
  {
    const ScarceThreads scarce(1);
    EXPECT_EQ(MakeBackend(options).status().code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(MakeBackends(options, 2, GroupTurns::kTogether).status().code(),
              StatusCode::kResourceExhausted);
  }
  EXPECT_TRUE(MakeBackend(options).ok()) << "once there are threads again";
}

}  // namespace
}  // namespace dray::kernels
