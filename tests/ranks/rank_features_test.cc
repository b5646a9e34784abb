// What requests may ask for, at every pair of degrees: samples of one prompt, log-probabilities of answers and
// prompts, an int8 cache, and speculation. The events are the same to the last bit over every transport, with
// and without speculation, and however many stages there are.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/testing/scribe_sink.h"
#include "engine/testing/short_draft.h"
#include "engine/token_engine.h"
#include "testing/rank_processes.h"

namespace dray::engine {
namespace {

// Greedy and drawn answers, one or several of a prompt, with the log-probabilities of answers and prompts.
std::vector<GenerateRequest> Requests(const testing::GoldenModel& golden) {
  std::vector<GenerateRequest> requests;
  for (size_t i = 0; i < 4; ++i) {
    GenerateRequest request = MakeRequest(golden.prompts[i + 1].ids, 24);
    request.params.seed = 100 + i;
    request.params.do_sample = i % 2 == 1;
    request.params.num_logprobs = 2;
    if (i >= 2) request.params.n = 3;
    if (i % 3 == 0) request.params.prompt_logprobs = 2;
    requests.push_back(std::move(request));
  }
  return requests;
}

// Lets a test wait for the end of a request.
class WaitingScribe final : public ScribeSink {
 public:
  void OnEvent(Event event) override {
    const bool over = std::holds_alternative<RequestEndEvent>(event);
    ScribeSink::OnEvent(std::move(event));
    if (!over) return;
    over_ = true;
    over_.notify_all();
  }
  void Wait() const { over_.wait(false); }

 private:
  std::atomic<bool> over_ = false;
};

struct Outcome {
  std::vector<Lines> shared;                  // [request]
  std::vector<std::map<int, Lines>> samples;  // [request]
  uint64_t drafted_tokens = 0;
};

class RankFeaturesTest : public ::testing::TestWithParam<Shape> {
 protected:
  LoadModelOptions OptionsOf(RankTransport transport) const {
    return OptionsFor(golden_, GetParam(), transport);
  }

  Outcome Run(const LoadModelOptions& load, DType kv_dtype, SpeculationMethod method) const {
    Outcome outcome;
    const std::shared_ptr<LoadedModel> model = LoadRanks(load);
    if (model == nullptr) return outcome;
    std::shared_ptr<LoadedModel> draft;
    if (method == SpeculationMethod::kDraftModel) {
      const bool shares = model->num_stages == 1 && model->launcher == nullptr;
      draft = LoadShortDraft(golden_, shares ? model->backends() : Backends());
    }
    const SpeculationOptions speculation = {.method = method,
                                            .costs = SpeculationOptions::Costs::kFixed};
    auto engine = StartEngine(
        model,
        {.max_sequences = 16, .block_size = 16, .kv_dtype = kv_dtype, .speculation = speculation},
        draft);
    EXPECT_TRUE(engine.ok()) << engine.status().ToString();
    if (!engine.ok()) return outcome;
    std::vector<std::shared_ptr<WaitingScribe>> sinks;
    for (const GenerateRequest& request : Requests(golden_)) {
      sinks.push_back(std::make_shared<WaitingScribe>());
      EXPECT_TRUE((*engine)->Submit(request, sinks.back()).ok());
    }
    for (const auto& sink : sinks) {
      sink->Wait();
      EXPECT_EQ(sink->shared.back(), "over: ok");
      outcome.shared.push_back(sink->shared);
      outcome.samples.push_back(sink->samples);
    }
    outcome.drafted_tokens = (*engine)->stats().drafted_tokens;
    return outcome;
  }

  static void ExpectSame(const Outcome& outcome, const Outcome& expected) {
    EXPECT_EQ(outcome.shared, expected.shared);
    EXPECT_EQ(outcome.samples, expected.samples);
  }

  const testing::GoldenModel golden_ = testing::ReadGoldenModel("llama-gqa");
};

TEST_P(RankFeaturesTest, EventsAreTheSameWithEveryKindOfSpeculation) {
  const LoadModelOptions load = OptionsOf(RankTransport::kThreads);
  for (const DType kv_dtype : {DType::kF32, DType::kI8}) {
    SCOPED_TRACE(Name(kv_dtype));
    const Outcome plain = Run(load, kv_dtype, SpeculationMethod::kNone);
    ASSERT_EQ(plain.samples.size(), 4U);
    EXPECT_EQ(plain.samples.back().size(), 3U);
    for (const auto method : {SpeculationMethod::kPromptLookup, SpeculationMethod::kDraftModel}) {
      const Outcome guessed = Run(load, kv_dtype, method);
      ExpectSame(guessed, plain);
      EXPECT_GT(guessed.drafted_tokens, 0U);
    }
    LoadModelOptions one_stage = load;
    one_stage.pipeline_parallel_degree = 1;
    ExpectSame(Run(one_stage, kv_dtype, SpeculationMethod::kNone), plain);
  }
}

TEST_P(RankFeaturesTest, EventsAreTheSameOverEveryTransport) {
  const Outcome expected =
      Run(OptionsOf(RankTransport::kThreads), DType::kI8, SpeculationMethod::kNone);
  for (const RankTransport transport : kOtherTransports) {
    for (const auto method : {SpeculationMethod::kPromptLookup, SpeculationMethod::kDraftModel}) {
      SCOPED_TRACE(NameOf(transport));
      const Outcome outcome = Run(OptionsOf(transport), DType::kI8, method);
      ExpectSame(outcome, expected);
      EXPECT_GT(outcome.drafted_tokens, 0U);
    }
  }
}

std::string ShapeOf(const ::testing::TestParamInfo<Shape>& info) {
  return std::to_string(info.param.first) + "x" + std::to_string(info.param.second);
}

// The model has two layers.
INSTANTIATE_TEST_SUITE_P(Shapes, RankFeaturesTest,
                         ::testing::Values(Shape{1, 1}, Shape{2, 1}, Shape{3, 1}, Shape{4, 1},
                                           Shape{1, 2}, Shape{2, 2}),
                         ShapeOf);

}  // namespace
}  // namespace dray::engine
