// The committed models of tests/golden/make_sentence_goldens.py, and what their libraries make of texts.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/parse/json.h"
#include "base/testing/source_dir.h"
#include "serving/encoder/encode_call.h"
#include "serving/encoder/encoding.h"
#include "serving/load/open_model.h"

namespace dray::testing {

inline std::filesystem::path SentenceDir(const std::string& name) {
  return SourceDir() / "tests/golden/sentences" / name;
}

struct SentenceGolden {
  std::vector<serving::EncodeInput> inputs;
  std::vector<std::vector<float>> numbers;  // [input]
};

inline SentenceGolden ReadSentenceGolden(const std::string& name) {
  const Json json =
      Json::Parse(ReadFile(SentenceDir(name) / "golden.json", 1 << 24).value()).value();
  SentenceGolden golden;
  const Json* texts = json.Find("texts");
  for (const Json& one : *(texts != nullptr ? texts : json.Find("pairs"))->AsArray()) {
    serving::InputText input;
    if (const Json::Array* pair = one.AsArray()) {
      input = {*(*pair)[0].AsString(), *(*pair)[1].AsString()};
    } else {
      input.text = *one.AsString();
    }
    golden.inputs.emplace_back(std::move(input));
  }
  const Json* numbers = json.Find(texts != nullptr ? "vectors" : "outputs");
  for (const Json& row : *numbers->AsArray()) {
    golden.numbers.emplace_back();
    for (const Json& x : *row.AsArray()) {
      golden.numbers.back().push_back(static_cast<float>(*x.AsDouble()));
    }
  }
  return golden;
}

// Null, with a failure of the test, if it cannot be opened.
inline std::shared_ptr<serving::ServedModel> OpenSentenceModel(
    const std::string& name, const settings::ModelSettings& settings = {}) {
  const auto dir = SentenceDir(name);
  auto model = serving::OpenModel(settings, {.model = dir, .tokenizer = dir, .draft = {}});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? *model : nullptr;
}

// Waits for the answer to one request.
class AnswerWait final : public serving::EncodeReceiver {
 public:
  void OnAnswer(serving::OrReason<serving::EncodeAnswer> answer) override {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(answer_.has_value()) << "answered twice";
    answer_.emplace(std::move(answer));
    arrived_.notify_all();
  }
  serving::OrReason<serving::EncodeAnswer> Wait() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return answer_.has_value(); });
    return *answer_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::optional<serving::OrReason<serving::EncodeAnswer>> answer_;
};

// The answer to a call; empty, with a failure of the test, if there is none.
inline serving::EncodeAnswer Encode(serving::ServedModel& model, const serving::EncodeCall& call) {
  const auto wait = std::make_shared<AnswerWait>();
  const auto encoding = model.Encode(call, wait);
  EXPECT_TRUE(encoding.ok()) << encoding.status().ToString();
  if (!encoding.ok()) return {};
  auto answer = wait->Wait();
  EXPECT_TRUE(answer.ok()) << answer.status().ToString();
  return answer.ok() ? *answer : serving::EncodeAnswer{};
}

}  // namespace dray::testing
