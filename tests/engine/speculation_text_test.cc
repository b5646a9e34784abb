// Speculation and text: the demo model's answers with and without it are the same, also if a stop
// string ends in the middle of a step's tokens, or if the sink cancels the request.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/testing/source_dir.h"
#include "engine/token_engine.h"
#include "kernels/make_backend.h"
#include "serving/served_model.h"
#include "serving/tokenizer_codec.h"
#include "tokenizer/tokenizer.h"

namespace dray::serving {
namespace {

const std::filesystem::path kDemo = SourceDir() / "models/demo";

// Writes each event as a line, and can wait for the last event.
class ScribeSink : public TextSink {
 public:
  void OnEvent(TextEvent event) override {
    const std::lock_guard lock(mutex_);
    if (const auto* sequence = std::get_if<SequenceTextEvent>(&event)) {
      std::string line = fmt::format("{}:", sequence->sequence_idx);
      for (const TextToken& token : sequence->tokens) {
        line += fmt::format(" {} \"{}\" {:a}", token.id, token.text, token.logprob.value_or(0));
      }
      line += sequence->tail_text;
      if (sequence->finish) line += fmt::format(" {}", static_cast<int>(*sequence->finish));
      lines_.push_back(std::move(line));
    } else if (const auto* end = std::get_if<EndEvent>(&event)) {
      lines_.push_back("end: " + end->status().ToString());
      ended_ = true;
      changed_.notify_all();
    }
  }

  std::vector<std::string> Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_; });
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
  bool ended_ = false;
};

std::unique_ptr<ServedModel> Serve(std::unique_ptr<engine::Engine> engine,
                                   const engine::LoadedModel& model) {
  ModelOptions options;
  options.eos_token_ids = model.description.config.eos_token_ids;
  auto tokenizer = tokenizer::Tokenizer::Load(kDemo);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  return std::make_unique<ServedModel>(std::move(options), std::move(engine),
                                       MakeTokenizerCodec(std::move(*tokenizer)));
}

std::unique_ptr<ServedModel> OpenDemo(const engine::SpeculationOptions& speculation) {
  auto model =
      engine::LoadModel({.model_dir = kDemo, .backend_options = {.cpu = {.num_threads = 1}}});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  const std::shared_ptr<engine::LoadedModel> shared = std::move(*model);
  auto engine = engine::StartEngine(shared, {.max_sequences = 8, .speculation = speculation});
  EXPECT_TRUE(engine.ok()) << engine.status().ToString();
  return Serve(std::move(*engine), *shared);
}

std::vector<TextRequest> Requests() {
  // Only few tokens are allowed, so that the answers repeat themselves.
  const auto tokenizer = tokenizer::Tokenizer::Load(kDemo);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  const auto likely = (*tokenizer)->Encode(" the fox liked the ball.", {});
  EXPECT_TRUE(likely.ok());
  std::string text;
  for (int i = 0; i < 4; ++i) {
    text += "Once upon a time a little fox had a red ball. The fox liked the ball. ";
  }
  std::vector<TextRequest> requests;
  for (size_t i = 0; i < 6; ++i) {
    TextRequest request;
    request.text = text;
    request.max_new_tokens = 80;
    request.params.num_logprobs = 0;
    request.params.do_sample = i % 2 == 1;
    request.params.temperature = 0.7;
    request.params.seed = i;
    for (const int32_t id : *likely) request.params.logit_bias.push_back({id, 12});
    if (i == 2) request.params.stop_strings = {"ball the"};
    if (i == 3) request.params.stop_strings = {"fox fox", ". ."};
    if (i == 4) request.params.stop_strings = {"e fox li", "xyzzy"};
    if (i >= 4) request.params.n = 2;
    requests.push_back(std::move(request));
  }
  return requests;
}

// The order of lines of different sequences is up to the steps.
void SortBySequence(std::vector<std::string>& lines) {
  std::stable_sort(lines.begin(), lines.end(),
                   [](auto& a, auto& b) { return a.substr(0, 1) < b.substr(0, 1); });
}

TEST(SpeculationTextTest, TextEventsAreTheSame) {
  const auto plain = OpenDemo({});
  const auto guessing = OpenDemo({.method = engine::SpeculationMethod::kPromptLookup,
                                  .costs = engine::SpeculationOptions::Costs::kFixed});
  for (const TextRequest& request : Requests()) {
    std::vector<std::vector<std::string>> answers;
    for (ServedModel* const model : {plain.get(), guessing.get()}) {
      auto sink = std::make_shared<ScribeSink>();
      const auto generation = model->Submit(request, sink);
      ASSERT_TRUE(generation.ok()) << generation.status().ToString();
      answers.push_back(sink->Wait());
    }
    // The events of a request's samples may alternate in another order.
    for (auto& lines : answers) SortBySequence(lines);
    EXPECT_EQ(answers[0], answers[1]);
  }
  EXPECT_GT(guessing->stats().accepted_tokens, 20u);
}

// Engines that share a model's weights share those of its draft model, each with a runner of its own.
TEST(SpeculationTextTest, EnginesShareADraftModel) {
  // The demo model without its upper layers.
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "small_draft";
  std::filesystem::remove_all(folder);
  std::filesystem::copy(kDemo, folder);
  std::string config = *ReadFile(kDemo / "config.json", 1 << 20);
  const std::string layers = "\"num_hidden_layers\": ";
  config.replace(config.find(layers) + layers.size(), 1, "2");
  std::ofstream(folder / "config.json") << config;
  auto model = engine::LoadModel({.model_dir = kDemo});
  auto small = engine::LoadModel({.model_dir = folder});
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(model.ok() && small.ok()) << model.status().ToString() << small.status().ToString();
  const std::shared_ptr<engine::LoadedModel> shared = std::move(*model);
  const std::shared_ptr<engine::LoadedModel> draft = std::move(*small);

  std::vector<std::unique_ptr<ServedModel>> served;
  served.push_back(OpenDemo({}));
  for (int i = 0; i < 2; ++i) {
    auto backend = kernels::MakeBackend({.cpu = {.num_threads = 1}});
    ASSERT_TRUE(backend.ok());
    engine::Backends backends;
    backends.push_back(std::move(*backend));
    auto engine =
        engine::StartEngineOn({.backends = backends, .of_draft = backends}, shared,
                              {.max_sequences = 8,
                               .speculation = {.method = engine::SpeculationMethod::kDraftModel,
                                               .costs = engine::SpeculationOptions::Costs::kFixed}},
                              draft);
    ASSERT_TRUE(engine.ok()) << engine.status().ToString();
    served.push_back(Serve(std::move(*engine), *shared));
  }
  for (const TextRequest& request : Requests()) {
    std::vector<std::shared_ptr<ScribeSink>> sinks;
    for (const auto& one : served) {
      sinks.push_back(std::make_shared<ScribeSink>());
      ASSERT_TRUE(one->Submit(request, sinks.back()).ok());
    }
    std::vector<std::vector<std::string>> answers;
    for (const auto& sink : sinks) SortBySequence(answers.emplace_back(sink->Wait()));
    EXPECT_EQ(answers[1], answers[0]);
    EXPECT_EQ(answers[2], answers[0]);
  }
  EXPECT_GT(served[1]->stats().drafted_tokens, 0U);
  EXPECT_GT(served[2]->stats().drafted_tokens, 0U);
}

}  // namespace
}  // namespace dray::serving
