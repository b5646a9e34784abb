// See djl_reply.h. The mutex guards the results; nothing that may call back is called under it.
#include "api/djl/djl_reply.h"

#include <utility>

namespace dray::api {

using serving::OutputFormat;
using serving::SequenceTextEvent;

// One input's events, with its place.
class DjlReply::Sink final : public serving::TextSink {
 public:
  Sink(std::shared_ptr<DjlReply> reply, size_t input_idx)
      : reply_(std::move(reply)), input_idx_(input_idx) {}
  void OnEvent(serving::TextEvent event) override { reply_->OnEvent(input_idx_, std::move(event)); }

 private:
  const std::shared_ptr<DjlReply> reply_;
  const size_t input_idx_;
};

void DjlReply::Start(Setup setup, serving::Model& model) {
  auto reply = std::make_shared<DjlReply>(std::move(setup));
  // Weak, for the responder keeps it and is kept by the reply.
  reply->setup_.responder->OnCancel([weak = std::weak_ptr(reply)] {
    if (const auto alive = weak.lock()) {
      alive->CancelAll(Status(StatusCode::kCancelled, "the client has gone"));
    }
  });
  reply->SubmitAll(model);
}

DjlReply::DjlReply(Setup setup) : setup_(std::move(setup)), num_open_(setup_.call.inputs.size()) {
  sampling::SamplingParams& params = setup_.call.request.params;
  const bool sampled = !sampling::IsGreedy(params);
  // Chosen here and not by the model, because the answer reports it.
  if (sampled && !params.seed) params.seed = serving::RandomSeed();
  for (const std::string& input : setup_.call.inputs) {
    InputResult result;
    result.input = input;
    if (sampled) result.seed = params.seed;
    result.sequences.resize(static_cast<size_t>(std::max<int64_t>(1, params.n)));
    results_.push_back(std::move(result));
  }
}

void DjlReply::SubmitAll(serving::Model& model) {
  for (size_t i = 0; i < setup_.call.inputs.size(); ++i) {
    serving::TextRequest request = setup_.call.request;
    request.text = setup_.call.inputs[i];
    auto generation = model.Submit(request, std::make_shared<Sink>(shared_from_this(), i));
    if (!generation.ok()) {
      const Step step = model.draining() ? Step::kSubmitToDraining : Step::kSubmit;
      ApiError error = MakeApiError(generation.status(), step);
      error.message = WithRequestNames(std::move(error.message));
      return Fail(error);
    }
    bool cancelled = false;
    {
      const std::lock_guard lock(mutex_);
      generations_.push_back(*generation);
      cancelled = cancelled_;
    }
    if (cancelled) {
      (*generation)->Cancel(Status(StatusCode::kCancelled, "the request was given up"));
      return;
    }
  }
}

bool DjlReply::KeepsTokens() const {
  if (setup_.format != OutputFormat::kJson)
    return setup_.call.details && setup_.call.top_n_tokens > 0;
  return setup_.call.details || setup_.call.request.params.n > 1;
}

void DjlReply::OnEvent(size_t input_idx, serving::TextEvent event) {
  if (auto* prompt = std::get_if<serving::PromptTextEvent>(&event)) {
    const std::lock_guard lock(mutex_);
    results_[input_idx].prompt = std::move(prompt->tokens);
  } else if (auto* tokens = std::get_if<SequenceTextEvent>(&event)) {
    OnTokens(input_idx, std::move(*tokens));
  } else {
    OnEnd(std::get<serving::EndEvent>(event).status);
  }
}

void DjlReply::OnTokens(size_t input_idx, SequenceTextEvent event) {
  if (event.finish && event.tokens.empty()) {
    // Nothing in the answer's shape carries text without a token.
    event.tokens.push_back({.id = -1, .text = {}, .logprob = 0, .special = true, .tops = {}});
    event.tokens.back().text = std::move(event.tail_text);
  }
  const std::lock_guard lock(mutex_);
  InputResult& result = results_[input_idx];
  SequenceResult& sequence = result.sequences.at(static_cast<size_t>(event.sequence_idx));
  sequence.finish = event.finish;
  for (const serving::TextToken& token : event.tokens) {
    sequence.text += token.text;
    sequence.sum_logprobs += static_cast<double>(token.logprob.value_or(0));
    if (token.id >= 0) ++sequence.num_tokens;
    if (KeepsTokens() && token.id >= 0) sequence.tokens.push_back(token);
  }
  if (setup_.format != OutputFormat::kJson && !done_) Stream(event, result);
}

void DjlReply::Stream(const SequenceTextEvent& event, const InputResult& result) {
  if (!std::exchange(stream_begun_, true)) {
    // Only now: what fails before its first token still gets a status of its own.
    http::ResponseHead head;
    head.headers.Add("Content-Type", std::string(ContentType(setup_.format)));
    for (const auto& [name, value] : setup_.headers.fields()) head.headers.Add(name, value);
    setup_.responder->BeginStream(std::move(head));
  }
  for (size_t i = 0; i < event.tokens.size(); ++i) {
    const bool last = event.finish && i + 1 == event.tokens.size();
    const Json line =
        last ? FormatLastToken(event.tokens[i], result, setup_.call) : FormatToken(event.tokens[i]);
    // If the client is gone, the cancel callback does the rest.
    setup_.responder->Write(FrameLine(line, setup_.format));
  }
}

void DjlReply::OnEnd(const Status& status) {
  if (!status.ok()) return Fail(MakeApiError(status, Step::kGenerate));
  {
    const std::lock_guard lock(mutex_);
    if (--num_open_ > 0 || std::exchange(done_, true)) return;
  }
  Finish();
}

void DjlReply::Finish() {
  if (setup_.format != OutputFormat::kJson) return setup_.responder->End();
  http::Response response;
  response.head.headers.Add("Content-Type", std::string(ContentType(setup_.format)));
  for (const auto& [name, value] : setup_.headers.fields()) {
    response.head.headers.Add(name, value);
  }
  if (setup_.call.shape == InputShape::kOne) {
    response.body = FormatResult(results_.front(), setup_.call).Dump();
  } else {
    Json list = Json::MakeArray();
    for (const InputResult& result : results_) list.Append(FormatResult(result, setup_.call));
    response.body = list.Dump();
  }
  setup_.responder->Send(std::move(response));
}

void DjlReply::Fail(const ApiError& error) {
  bool begun = false;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(done_, true)) return;
    begun = stream_begun_;
  }
  if (begun) {
    const Json line = FormatStreamError(error.status, error.message, results_.front(), setup_.call);
    setup_.responder->Write(FrameLine(line, setup_.format));
    setup_.responder->End();
  } else {
    http::Response response = ToResponse(error);
    for (const auto& [name, value] : setup_.headers.fields()) {
      response.head.headers.Add(name, value);
    }
    setup_.responder->Send(std::move(response));
  }
  CancelAll(Status(StatusCode::kCancelled, "another input of the request failed"));
}

void DjlReply::CancelAll(const Status& reason) {
  std::vector<std::shared_ptr<serving::Generation>> generations;
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    generations = generations_;
  }
  for (const auto& generation : generations) generation->Cancel(reason);
}

}  // namespace dray::api
