#include "recovery/recovery_clients.h"

#include <algorithm>
#include <span>
#include <utility>
#include <variant>

#include "base/check.h"
#include "sampling/logits.h"
#include "sampling/sampler.h"

namespace dray::testing {
namespace {

using sampling::TokenLogprob;

constexpr int32_t kEndTokens[] = {SimulatedModel::kEndToken};

bool Same(const std::vector<TokenLogprob>& a, const std::vector<TokenLogprob>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const TokenLogprob& x, const TokenLogprob& y) {
                      return x.id == y.id && x.logprob == y.logprob;
                    });
}

ExpectedSample ExpectSample(const engine::GenerateRequest& request, PlainSequence sequence,
                            std::vector<float> logits, int sample_idx) {
  sampling::Sampler sampler({.params = request.params,
                             .eos_token_ids = kEndTokens,
                             .prompt = request.prompt,
                             .seed = request.params.seed.value_or(0),
                             .sample_index = static_cast<uint32_t>(sample_idx)});
  sampling::SamplingWorkspace workspace;
  ExpectedSample sample;
  for (;;) {
    const auto chosen = sampler.Choose(logits, workspace);
    DRAY_CHECK(chosen.ok());
    sample.tokens.push_back({.sequence_idx = sample_idx,
                             .token = {chosen->token_id, chosen->logprob.value_or(0.0F)},
                             .tops = {chosen->top.begin(), chosen->top.end()}});
    if (const auto reason = sampler.Append(chosen->token_id)) {
      sample.reason = *reason;
      return sample;
    }
    sequence.Append(chosen->token_id, logits);
  }
}

}  // namespace

engine::GenerateRequest RandomRequest(scheduler::Random& random, int64_t max_context) {
  engine::GenerateRequest request;
  const int64_t num_prompt = random.Between(1, random.OneIn(3) ? max_context - 1 : max_context / 4);
  for (int64_t i = 0; i < num_prompt; ++i) {
    request.prompt.push_back(
        static_cast<int32_t>(random.Between(1, SimulatedModel::kDeadlyToken - 1)));
  }
  sampling::SamplingParams& params = request.params;
  params.max_new_tokens = random.Between(1, std::min<int64_t>(40, max_context - num_prompt));
  params.do_sample = random.OneIn(2);
  params.seed = random.Next() >> 12;
  if (random.OneIn(3)) params.n = random.Between(2, 3);
  if (random.OneIn(3)) params.repetition_penalty = 1.3;
  if (random.OneIn(3)) params.frequency_penalty = 0.4;
  if (random.OneIn(4)) params.presence_penalty = 0.6;
  if (random.OneIn(3)) params.top_k = random.Between(2, 12);
  if (random.OneIn(3)) params.top_p = 0.8;
  if (random.OneIn(3)) params.temperature = 0.6;
  if (random.OneIn(3)) params.num_logprobs = random.Between(0, 3);
  if (random.OneIn(4)) params.prompt_logprobs = random.Between(0, 2);
  if (random.OneIn(3)) {
    params.stop_token_ids = {static_cast<int32_t>(random.Between(1, 12)),
                             static_cast<int32_t>(random.Between(1, 12))};
  }
  params.ignore_eos = random.OneIn(2);
  return request;
}

ExpectedAnswer Expect(const SimulatedModel& model, const engine::GenerateRequest& request) {
  ExpectedAnswer answer;
  PlainSequence sequence(model);
  std::vector<float> logits(SimulatedModel::kVocabSize);
  std::vector<TokenLogprob> tops;
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    if (i > 0 && request.params.prompt_logprobs) {
      answer.prompt.logprobs.push_back(sampling::ComputeLogprobs(
          logits, request.prompt[i], *request.params.prompt_logprobs, tops));
      answer.prompt.tops.push_back(tops);
    }
    sequence.Append(request.prompt[i], logits);
  }
  for (int i = 0; i < static_cast<int>(request.params.n); ++i) {
    answer.samples.push_back(ExpectSample(request, sequence, logits, i));
  }
  return answer;
}

void CheckingSink::OnEvent(engine::Event event) {
  Expect(!over_, "an event after the last one");
  if (const auto* prompt = std::get_if<engine::PromptEvent>(&event)) OnPrompt(*prompt);
  if (const auto* token = std::get_if<engine::TokenEvent>(&event)) OnToken(*token);
  if (const auto* end = std::get_if<engine::SequenceEndEvent>(&event)) OnSequenceEnd(*end);
  if (const auto* end = std::get_if<engine::RequestEndEvent>(&event)) OnRequestEnd(*end);
}

void CheckingSink::OnPrompt(const engine::PromptEvent& event) {
  Expect(wants_prompt_ && !has_prompt_, "a prompt event too many");
  has_prompt_ = true;
  Expect(event.logprobs == expected_.prompt.logprobs, "wrong log-probabilities of the prompt");
  Expect(std::equal(event.tops.begin(), event.tops.end(), expected_.prompt.tops.begin(),
                    expected_.prompt.tops.end(), Same),
         "wrong likeliest tokens of the prompt");
}

void CheckingSink::OnToken(const engine::TokenEvent& event) {
  const auto sample_idx = static_cast<size_t>(event.sequence_idx);
  Expect(started_, "a token before the start");
  Expect(sample_idx < ended_.size() && !ended_[sample_idx], "a token of no open sample");
  if (!error_.empty()) return;
  const std::vector<engine::TokenEvent>& tokens = expected_.samples[sample_idx].tokens;
  size_t& num_tokens = num_tokens_[sample_idx];
  Expect(num_tokens < tokens.size(), "a token too many");
  if (!error_.empty()) return;
  const engine::TokenEvent& expected = tokens[num_tokens++];
  Expect(event.token.id == expected.token.id, "a wrong token");
  Expect(event.token.logprob == expected.token.logprob, "a wrong log-probability");
  Expect(Same(event.tops, expected.tops), "wrong likeliest tokens");
}

void CheckingSink::OnSequenceEnd(const engine::SequenceEndEvent& event) {
  const auto sample_idx = static_cast<size_t>(event.sequence_idx);
  Expect(sample_idx < ended_.size() && !ended_[sample_idx], "a second end of a sample");
  if (!error_.empty()) return;
  ended_[sample_idx] = true;
  Expect(num_tokens_[sample_idx] == expected_.samples[sample_idx].tokens.size(),
         "a sample ended early");
  Expect(event.reason == expected_.samples[sample_idx].reason, "a wrong reason");
}

void CheckingSink::OnRequestEnd(const engine::RequestEndEvent& event) {
  over_ = true;
  status_ = event.status;
  if (!status_.ok()) return;
  Expect(std::all_of(ended_.begin(), ended_.end(), [](bool ended) { return ended; }),
         "a request ended before its samples");
  Expect(has_prompt_ == wants_prompt_, "a prompt event is missing");
}

int64_t CheckingSink::num_tokens() const {
  int64_t sum = 0;
  for (const size_t count : num_tokens_) sum += static_cast<int64_t>(count);
  return sum;
}

}  // namespace dray::testing
