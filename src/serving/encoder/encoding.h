// One accepted request to an encoder. It collects the numbers of its texts and gives its receiver the
// whole answer.
//
// Threads: OnStart, OnText and OnEnd on the engine's thread alone; the rest from any thread.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/encoder/encoder_engine.h"
#include "serving/admission.h"
#include "serving/encoder/encode_call.h"
#include "serving/metrics/model_metrics.h"
#include "serving/request_in_flight.h"

namespace dray::serving {

class Encoding final : public engine::EncodeSink, public RequestInFlight {
 public:
  struct Setup {
    std::shared_ptr<EncodeReceiver> receiver;
    std::vector<int64_t> num_tokens;  // [input]
    // The place that the model gave this request, until it is over.
    Admission::Ticket ticket;
    // Where what the request takes is counted; may be null. Outlives the engine.
    ModelMetrics* metrics = nullptr;
  };
  explicit Encoding(Setup setup);

  void OnStart() override { clock_.OnStart(Clock::now()); }
  void OnText(size_t text_idx, std::vector<float> numbers) override;
  void OnEnd(const Status& status) override;

  // `engine` took the request under this id.
  void SetStarted(engine::EncoderEngine& engine, RequestId id);
  void Cancel(Reason reason) override;
  // The first limit holds for the whole answer, since nothing is sent before it.
  void CancelIfLate(Clock::time_point now, std::chrono::milliseconds first_limit,
                    std::chrono::milliseconds next_limit) override;
  bool over() const override { return over_; }

 private:
  // Constant after construction, except that the engine's thread releases `receiver` and `ticket`.
  Setup setup_;
  const Clock::time_point arrival_ = Clock::now();
  RequestClock clock_;
  EncodeAnswer answer_;

  std::atomic<bool> over_{false};
  std::mutex mutex_;
  engine::EncoderEngine* engine_ = nullptr;  // that has the request; null before
  RequestId id_{0};
  std::optional<Reason> cancel_reason_;
};

}  // namespace dray::serving
