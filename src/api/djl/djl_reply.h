// Answers one generation call: collects the events of its inputs and sends them whole,
// or streams them.
//
// Threads: events come on the engine's thread, cancellation on a server thread,
// submission on another.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/djl/djl_format.h"
#include "api/errors.h"
#include "api/generate_call.h"
#include "http/responder.h"
#include "serving/model.h"

namespace dray::api {

class DjlReply : public std::enable_shared_from_this<DjlReply> {
 public:
  struct Setup {
    http::ResponderPtr responder;
    GenerateCall call;
    // kJson: whole; else a stream of one input.
    serving::OutputFormat format = serving::OutputFormat::kJson;
    // Sent with every answer.
    http::Headers headers;
  };
  // Submits every input of the call and answers as the events come; cancels what is left if the
  // client goes, or if one input fails. The model is not kept: were a reply the last to hold it, it
  // would end on its own engine's thread.
  static void Start(Setup setup, serving::Model& model);

  explicit DjlReply(Setup setup);

 private:
  class Sink;

  void SubmitAll(serving::Model& model);
  void OnEvent(size_t input_idx, serving::TextEvent event);
  void OnTokens(size_t input_idx, serving::SequenceTextEvent event);
  void Stream(const serving::SequenceTextEvent& event, const InputResult& result);
  void OnEnd(const Status& status);
  void Finish();
  // Answers with the error, unless an answer has been made; gives the rest up.
  void Fail(const ApiError& error);
  void CancelAll(const Status& reason);
  bool KeepsTokens() const;

  Setup setup_;
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
