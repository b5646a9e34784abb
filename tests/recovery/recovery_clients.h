// The requests of the recovery simulation: what each must get, and a sink that compares every event
// with that.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/engine.h"
#include "recovery/simulated_model.h"
#include "sampling/token_result.h"
#include "scheduler/testing/simulation_support.h"

namespace dray::testing {

// What one sample of a request yields if nothing ever fails.
struct ExpectedSample {
  std::vector<engine::TokenEvent> tokens;
  sampling::FinishReason reason = sampling::FinishReason::kLength;
};

struct ExpectedAnswer {
  engine::PromptEvent prompt;  // if the request asks for it
  std::vector<ExpectedSample> samples;
};

// A random request of at most `max_context` tokens in all: greedy or with a seed, with penalties,
// stop tokens, log-probabilities and several samples.
engine::GenerateRequest RandomRequest(scheduler::Random& random, int64_t max_context);

// Computes the answer by the sampler and the plain model.
ExpectedAnswer Expect(const SimulatedModel& model, const engine::GenerateRequest& request);

// Compares the events of a request, one by one as they come.
class CheckingSink final : public engine::EventSink {
 public:
  CheckingSink(ExpectedAnswer expected, bool wants_prompt)
      : expected_(std::move(expected)),
        wants_prompt_(wants_prompt),
        num_tokens_(expected_.samples.size()),
        ended_(expected_.samples.size()) {}

  void OnEvent(engine::Event event) override;
  void OnStart() override {
    Expect(!started_, "a second start");
    started_ = true;
  }

  // What was wrong first; "" if nothing was.
  const std::string& error() const { return error_; }
  bool started() const { return started_; }
  bool over() const { return over_; }
  const Status& status() const { return status_; }
  // Of all samples.
  int64_t num_tokens() const;

 private:
  void Expect(bool condition, const char* what) {
    if (!condition && error_.empty()) error_ = what;
  }
  void OnPrompt(const engine::PromptEvent& event);
  void OnToken(const engine::TokenEvent& event);
  void OnSequenceEnd(const engine::SequenceEndEvent& event);
  void OnRequestEnd(const engine::RequestEndEvent& event);

  ExpectedAnswer expected_;
  bool wants_prompt_;
  bool has_prompt_ = false;
  bool started_ = false;
  bool over_ = false;
  Status status_;
  std::vector<size_t> num_tokens_;  // [sample]
  std::vector<bool> ended_;         // [sample]
  std::string error_;
};

}  // namespace dray::testing
