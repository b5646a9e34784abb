// One accepted request. It receives token events from the engine and sends text events. It also
// finds stop strings, because the engine knows no text.
//
// Threads: OnEvent on the engine's thread alone; Cancel and the rest from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "sampling/stop_checker.h"
#include "sampling/token_result.h"
#include "serving/admission.h"
#include "serving/metrics/model_metrics.h"
#include "serving/reasons.h"
#include "serving/request_in_flight.h"
#include "serving/text_codec.h"
#include "serving/text_events.h"

namespace dray::serving {

class Generation final : public engine::EventSink, public RequestInFlight {
 public:
  struct Setup {
    const TextCodec* codec = nullptr;
    std::shared_ptr<TextSink> sink;
    sampling::SamplingParams params;
    std::vector<int32_t> prompt;
    // Whether the answer's text continues that of the prompt.
    bool continues_prompt = true;
    SpecialTokens special_tokens = SpecialTokens::kSkip;
    // The model's end tokens.
    std::vector<int32_t> eos_token_ids;
    // The place that the model gave this request, until it is over.
    Admission::Ticket ticket;
    // Where what the request takes is counted; may be null. Outlives the engine.
    ModelMetrics* metrics = nullptr;
  };
  explicit Generation(Setup setup);

  void OnEvent(engine::Event event) override;
  void OnStart() override { clock_.OnStart(Clock::now()); }

  // `engine` took the request under this id.
  void SetStarted(engine::Engine& engine, RequestId id);
  // The EndEvent carries `reason`.
  void Cancel(Reason reason) override;
  void CancelIfLate(Clock::time_point now, std::chrono::milliseconds first_limit,
                    std::chrono::milliseconds next_limit) override;
  bool over() const override { return over_; }
  bool cancelled() const;

  int64_t num_prompt_tokens() const { return num_prompt_tokens_; }

 private:
  struct SequenceText {
    std::unique_ptr<TextStream> stream;
    sampling::StopChecker stop_checker;
    int64_t num_tokens = 0;
    // The last token, if it may be the sequence's last: then it must go out together with the end.
    std::vector<TextToken> held = {};
    bool ended = false;
    Clock::time_point last_token = {};
  };

  void OnPrompt(const engine::PromptEvent& event);
  void OnToken(const engine::TokenEvent& event);
  void OnSequenceEnd(const engine::SequenceEndEvent& event);
  void OnRequestEnd(const engine::RequestEndEvent& event);
  void EndSequence(const engine::SequenceEndEvent& end);
  void Deliver(TextEvent event);
  bool MayBeLast(const SequenceText& sequence, const TextToken& token) const;
  std::vector<TopToken> Tops(const std::vector<sampling::TokenLogprob>& tops) const;

  // Constant after construction, except that the engine's thread releases `sink` at the end.
  Setup setup_;
  const int64_t num_prompt_tokens_;
  RequestClock clock_;
  std::vector<SequenceText> sequences_;
  int64_t num_open_ = 0;
  bool finished_ = false;

  std::atomic<bool> over_{false};
  std::atomic<bool> begun_{false};
  std::atomic<Clock::time_point> last_event_;
  mutable std::mutex mutex_;
  // That has the request; null before one has taken it.
  engine::Engine* engine_ = nullptr;
  RequestId id_{0};
  std::optional<Reason> cancel_reason_;
};

}  // namespace dray::serving
