// Runs loaded encoders over texts of a golden file; shared by the tests of whole encoders.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/encoder/encode_request.h"
#include "engine/encoder/encode_step.h"
#include "engine/runner/cache_size.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/make_runner.h"
#include "testing/golden_encoder.h"

namespace dray::engine {

// transformers' own float32 and float64 runs of the golden models differ by up to 2e-6; states are
// norms' outputs, so they are about one.
inline constexpr float kEncoderTolerance = 1e-4f;

// A loaded model and its runner.
class LoadedEncoder {
 public:
  LoadedEncoder(const testing::GoldenEncoder& golden, LoadModelOptions options) {
    options.model_dir = golden.dir;
    options.backend_options.cpu.oversubscribe = true;
    auto loaded = LoadModel(options);
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    if (!loaded.ok()) return;
    model_ = std::move(*loaded);
    auto runner =
        MakeRunner(*model_, EncoderSpec({.max_batch_tokens = 600,
                                         .max_texts = 20,
                                         .kv_dtype = KvDTypeBeside(model_->table_format.format)}));
    EXPECT_TRUE(runner.ok()) << runner.status().ToString();
    if (runner.ok()) runner_ = std::move(*runner);
  }
  bool ok() const { return runner_ != nullptr; }
  int64_t num_ranks() const { return model_->num_ranks(); }
  int64_t num_heads() const { return model_->description.config.stack.num_heads; }
  const LoadedModel& model() const { return *model_; }
  ModelRunner& runner() { return *runner_; }

  // The states and classes of texts that are computed together.
  EncodeNumbers Run(const std::vector<const testing::GoldenText*>& texts) {
    RunnerStep step;
    Fill(texts, step);
    runner_->Submit(step);
    return Collect(step);
  }
  void Fill(const std::vector<const testing::GoldenText*>& texts, RunnerStep& step) const {
    const model::ModelConfig& config = model_->description.config;
    model::EncoderBatch& batch = step.sources.texts;
    for (const testing::GoldenText* text : texts) {
      batch.ids.insert(batch.ids.end(), text->ids.begin(), text->ids.end());
      if (config.stack.num_token_types > 0) {
        batch.types.insert(batch.types.end(), text->types.begin(), text->types.end());
      }
      batch.lengths.push_back(static_cast<int32_t>(text->ids.size()));
    }
    WantNumbers({.states = true, .classes = config.classifier.has_value()}, step);
  }
  EncodeNumbers Collect(const RunnerStep& step) {
    EncodeNumbers numbers;
    const StepPiece end = CollectNumbers(*runner_, step, model_->description.config, numbers);
    EXPECT_TRUE(end.status.ok()) << end.status.ToString();
    return numbers;
  }

 private:
  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<ModelRunner> runner_;
};

inline std::vector<const testing::GoldenText*> AllTexts(const testing::GoldenEncoder& golden) {
  std::vector<const testing::GoldenText*> texts;
  for (const testing::GoldenText& text : golden.texts) texts.push_back(&text);
  return texts;
}

// What the model computes of each text by itself, joined.
inline EncodeNumbers EachByItself(LoadedEncoder& encoder, const testing::GoldenEncoder& golden) {
  EncodeNumbers all;
  for (const testing::GoldenText& text : golden.texts) {
    const EncodeNumbers one = encoder.Run({&text});
    all.states.insert(all.states.end(), one.states.begin(), one.states.end());
    all.classes.insert(all.classes.end(), one.classes.begin(), one.classes.end());
  }
  return all;
}

inline EncodeNumbers ExpectedNumbers(const testing::GoldenEncoder& golden) {
  EncodeNumbers all;
  for (const testing::GoldenText& text : golden.texts) {
    all.states.insert(all.states.end(), text.states.begin(), text.states.end());
    all.classes.insert(all.classes.end(), text.classes.begin(), text.classes.end());
  }
  return all;
}

inline float LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    most = std::max(most, std::fabs(a[i] - b[i]));
  }
  return most;
}

// Waits for the answer to a request. Numbers of all its texts are joined.
class EncodeAnswerSink final : public EncodeSink {
 public:
  void OnStart() override { ++num_starts_; }
  void OnText(size_t text_idx, std::vector<float> numbers) override {
    EXPECT_EQ(text_idx, num_texts_++);
    numbers_.insert(numbers_.end(), numbers.begin(), numbers.end());
    if (text_idx == 0) first_.set_value();
  }
  void OnEnd(const Status& status) override {
    if (num_texts_ == 0) first_.set_value();
    end_.set_value(status);
  }
  // Waits for the first text, or the end if there is none.
  void AwaitFirst() { first_.get_future().get(); }
  // Call it once.
  Status Wait() { return end_.get_future().get(); }
  // After the end.
  const std::vector<float>& numbers() const { return numbers_; }
  size_t num_texts() const { return num_texts_; }
  int num_starts() const { return num_starts_; }

 private:
  std::vector<float> numbers_;
  size_t num_texts_ = 0;
  int num_starts_ = 0;
  std::promise<void> first_;
  std::promise<Status> end_;
};

}  // namespace dray::engine
