// A warm decode step of the whole engine, from the plan to the events, allocates no memory.
#include <algorithm>
#include <fstream>

#include "base/testing/allocation_counter.h"
#include "engine/engine_core.h"
#include "testing/engine_support.h"

namespace dray::engine {
namespace {

class SilentSink : public EventSink {
 public:
  void OnEvent(Event) override {}
};

// The pages that this process has mapped; they show memory that operator new does not count.
int64_t MappedPages() {
  std::ifstream file("/proc/self/statm");
  int64_t pages = 0;
  file >> pages;
  return pages;
}

// Three kinds: greedy, plain sampling, and sampling with every processor that looks at the history.
GenerateRequest RequestOfKind(uint64_t kind) {
  GenerateRequest request = MakeRequest({5, 6, 7, 8, 9, 10, 11, 12}, 200);
  request.params.do_sample = kind > 0;
  request.params.seed = kind;
  request.params.temperature = 0.9;
  if (kind > 1) {
    request.params.top_k = 20;
    request.params.top_p = 0.9;
    request.params.repetition_penalty = 1.1;
    request.params.frequency_penalty = 0.1;
    request.params.presence_penalty = 0.1;
  }
  return request;
}

struct Case {
  DType kv_dtype = DType::kF32;
  int64_t num_ranks = 1;
  int64_t num_stages = 1;
};

class StepAllocationTest : public ::testing::TestWithParam<Case> {};

TEST_P(StepAllocationTest, WarmDecodeStepsTakeNoMemory) {
  const Case& model_case = GetParam();
  const int64_t num_threads = std::max<int64_t>(2, model_case.num_ranks * model_case.num_stages);
  const auto model =
      LoadGolden(testing::ReadGoldenModel("llama-gqa"), static_cast<int>(num_threads),
                 model_case.num_ranks, model_case.num_stages);
  ASSERT_NE(model, nullptr);
  auto core = EngineCore::Make(
      *model, {.max_sequences = 6, .block_size = 16, .kv_dtype = model_case.kv_dtype});
  ASSERT_TRUE(core.ok());
  for (uint64_t i = 0; i < 6; ++i) {
    (*core)->Add(RequestId(i + 1), RequestOfKind(i % 3), std::make_shared<SilentSink>());
  }
  // These steps compute the prompts, and let buffers grow that depend on the tokens drawn.
  for (int step = 0; step < 20; ++step) ASSERT_TRUE((*core)->Step());
  const int64_t pages = MappedPages();
  const int64_t before = NumAllocations();
  // These steps go beyond the end of several cache blocks.
  for (int step = 0; step < 100; ++step) ASSERT_TRUE((*core)->Step());
  EXPECT_EQ(NumAllocations(), before);
  EXPECT_EQ(MappedPages(), pages);
  EXPECT_EQ((*core)->stats().running_sequences, 6);
}

INSTANTIATE_TEST_SUITE_P(CacheFormats, StepAllocationTest,
                         ::testing::Values(Case{DType::kF32}, Case{DType::kI8},
                                           Case{DType::kF32, 2}, Case{DType::kF32, 1, 2},
                                           Case{DType::kF32, 2, 2}));

}  // namespace
}  // namespace dray::engine
