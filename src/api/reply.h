// Answers one generation call: collects the events of its inputs, and has a dialect's writer turn
// them into bytes, whole or as a stream.
//
// Threads: events come on the engine's thread, cancellation on a server thread, submission on
// another.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/call.h"
#include "api/results.h"
#include "http/body_budget.h"
#include "http/responder.h"
#include "http/response.h"
#include "serving/reasons.h"
#include "serving/served_model.h"

namespace dray::api {

// New tokens of a stream.
struct StreamedTokens {
  size_t input_idx = 0;
  size_t num_inputs = 1;
  // At least one token. They are part of `result` already.
  const serving::SequenceTextEvent& event;
  const InputResult& result;  // of that input
};

// What a dialect does for a Reply. Called by one thread at a time.
class ReplyWriter {
 public:
  virtual ~ReplyWriter() = default;

  // The answer to a call that is not streamed.
  virtual http::Response Whole(const GenerateCall& call, std::span<const InputResult> results) = 0;
  // The answer to a call that failed before anything was sent.
  virtual http::Response Failure(const serving::Reason& reason) = 0;

  // A stream: its head, what is sent for some new tokens (nothing, if they must wait for others), and
  // for a failure in its middle. If the format has no place for a failure, this is nullopt, and the
  // connection is broken off.
  virtual http::ResponseHead StreamHead() = 0;
  virtual std::string StreamTokens(const GenerateCall& call, const StreamedTokens& tokens) = 0;
  virtual std::optional<std::string> StreamFailure(const GenerateCall& call,
                                                   const serving::Reason& reason,
                                                   const InputResult& result) = 0;

  // Whether results need their tokens, beside their text.
  virtual bool ShowsTokens(const GenerateCall& call) const = 0;
};

enum class Delivery { kWhole, kStreamed };

class Reply : public std::enable_shared_from_this<Reply> {
 public:
  struct Setup {
    http::ResponderPtr responder;
    GenerateCall call;
    // kStreamed: each input has one sequence.
    Delivery delivery = Delivery::kWhole;
    std::unique_ptr<ReplyWriter> writer;
    // The room that the call's texts take of what the server has for requests; kept as long as they are.
    http::BodyLease text_lease = {};
  };
  // Submits every input of the call and answers as the events come. Cancels the rest if the client
  // leaves or if one input fails. The reply does not keep the model: if it were the model's last
  // owner, the model would be destroyed on its own engine's thread.
  static void Start(Setup setup, serving::ServedModel& model);

  explicit Reply(Setup setup);

 private:
  class Sink;

  void SubmitAll(serving::ServedModel& model);
  void OnEvent(size_t input_idx, serving::TextEvent event);
  void OnTokens(size_t input_idx, serving::SequenceTextEvent event);
  void OnEnd(const serving::EndEvent& event);
  void Stream(const StreamedTokens& tokens);
  void Finish();
  // Answers with the reason, unless an answer has been made; gives the rest up.
  void Fail(const serving::Reason& reason);
  void CancelAll(const Status& reason);
  // Since the call was submitted.
  double SecondsSinceStart() const;

  Setup setup_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::vector<InputResult> results_;
  std::vector<std::shared_ptr<serving::Generation>> generations_;
  size_t num_open_;
  // The answer is made: whole, failed, or given up.
  bool done_ = false;
  bool stream_begun_ = false;
  bool cancelled_ = false;
};

}  // namespace dray::api
