// A warm step with guesses allocates nothing, with every kind of drafter.
#include "base/testing/allocation_counter.h"
#include "engine/engine_core.h"
#include "engine/speculation/model_drafter.h"
#include "engine/speculation/prompt_lookup.h"
#include "testing/engine_support.h"

namespace dray::engine {
namespace {

class SilentSink : public EventSink {
 public:
  void OnEvent(Event) override {}
};

void ExpectNoAllocations(LoadedModel& model, std::unique_ptr<Drafter> drafter) {
  auto core = EngineCore::Make(model,
                               {.max_sequences = 4,
                                .block_size = 16,
                                .speculation = {.costs = SpeculationOptions::Costs::kFixed}},
                               std::move(drafter));
  ASSERT_TRUE(core.ok());
  for (uint64_t i = 0; i < 4; ++i) {
    GenerateRequest request = MakeRequest({5, 6, 7, 5, 6, 7, 5, 6}, 150);
    request.params.do_sample = i % 2 == 1;
    request.params.temperature = 0.5;
    request.params.seed = i;
    // The bias makes the model repeat the prompt's tokens.
    for (const int32_t id : {5, 6, 7}) request.params.logit_bias.push_back({id, 30});
    (*core)->Add(RequestId(i), request, std::make_shared<SilentSink>());
  }
  for (int step = 0; step < 6; ++step) (*core)->Step();
  const EngineStats warm = (*core)->stats();
  const int64_t before = NumAllocations();
  for (int step = 0; step < 6; ++step) (*core)->Step();
  EXPECT_EQ(NumAllocations(), before);
  EXPECT_GT((*core)->stats().accepted_tokens, warm.accepted_tokens);
  EXPECT_EQ((*core)->stats().running_sequences, 4);
}

TEST(SpeculationAllocationTest, WarmStepsAllocateNothing) {
  const auto model = LoadGolden(testing::ReadGoldenModel("llama-gqa"));
  ASSERT_NE(model, nullptr);
  ExpectNoAllocations(*model, MakePromptLookup(1, 3));
  ExpectNoAllocations(*model, MakeModelDrafter(*model, 0));
}

}  // namespace
}  // namespace dray::engine
