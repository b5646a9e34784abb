// The mutex guards the results; nothing that may call back is called under it.
#include "api/reply.h"

#include <algorithm>
#include <utility>

namespace dray::api {

using serving::SequenceTextEvent;

// One input's events, with its place.
class Reply::Sink final : public serving::TextSink {
 public:
  Sink(std::shared_ptr<Reply> reply, size_t input_idx)
      : reply_(std::move(reply)), input_idx_(input_idx) {}
  void OnEvent(serving::TextEvent event) override { reply_->OnEvent(input_idx_, std::move(event)); }
  bool cancelled() const override { return reply_->setup_.responder->cancelled(); }

 private:
  const std::shared_ptr<Reply> reply_;
  const size_t input_idx_;
};

void Reply::Start(Setup setup, serving::ServedModel& model) {
  auto reply = std::make_shared<Reply>(std::move(setup));
  // Weak, because the responder keeps the callback and the reply keeps the responder.
  reply->setup_.responder->OnCancel([weak = std::weak_ptr(reply)] {
    if (const auto alive = weak.lock()) {
      alive->CancelAll(Status(StatusCode::kCancelled, "the client has gone"));
    }
  });
  reply->SubmitAll(model);
}

Reply::Reply(Setup setup) : setup_(std::move(setup)), num_open_(setup_.call.inputs.size()) {
  sampling::SamplingParams& params = setup_.call.request.params;
  // Here and not for each input, because the answer reports it and inputs share it.
  sampling::ChooseSeed(params);
  for (std::string& input : setup_.call.inputs) {
    results_.emplace_back().input = std::move(input);  // a long text is kept once
    if (!sampling::IsGreedy(params)) results_.back().seed = params.seed;
  }
  setup_.call.inputs.clear();
}

void Reply::SubmitAll(serving::ServedModel& model) {
  for (size_t i = 0; i < results_.size(); ++i) {
    serving::TextRequest request = setup_.call.request;
    request.text = results_[i].input;
    auto generation = model.Submit(request, std::make_shared<Sink>(shared_from_this(), i));
    if (!generation.ok()) return Fail(generation.reason());
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

void Reply::OnEvent(size_t input_idx, serving::TextEvent event) {
  if (auto* prompt = std::get_if<serving::PromptTextEvent>(&event)) {
    const std::lock_guard lock(mutex_);
    results_[input_idx].prompt = std::move(prompt->tokens);
  } else if (auto* tokens = std::get_if<SequenceTextEvent>(&event)) {
    OnTokens(input_idx, std::move(*tokens));
  } else {
    OnEnd(std::get<serving::EndEvent>(event));
  }
}

void Reply::OnTokens(size_t input_idx, SequenceTextEvent event) {
  if (event.finish && event.tokens.empty()) {
    // The answer's format has no text without a token, so the text gets a token of its own.
    event.tokens.push_back({.id = -1, .text = {}, .logprob = 0, .special = true, .tops = {}});
    event.tokens.back().text = std::move(event.tail_text);
  }
  const std::lock_guard lock(mutex_);
  InputResult& result = results_[input_idx];
  result.num_prompt_tokens = event.num_prompt_tokens;
  // Only now is it known that the request may have so many.
  const auto sequence_idx = static_cast<size_t>(event.sequence_idx);
  if (result.sequences.size() <= sequence_idx) result.sequences.resize(sequence_idx + 1);
  SequenceResult& sequence = result.sequences[sequence_idx];
  sequence.finish = event.finish;
  sequence.beam_score = event.beam_score;
  const bool shows_tokens = setup_.writer->ShowsTokens(setup_.call);
  for (const serving::TextToken& token : event.tokens) {
    sequence.text += token.text;
    sequence.sum_logprobs += static_cast<double>(token.logprob.value_or(0));
    if (token.id >= 0) ++sequence.num_tokens;
    if (shows_tokens && token.id >= 0) sequence.tokens.push_back(token);
  }
  if (setup_.delivery == Delivery::kStreamed && !done_)
    Stream({input_idx, results_.size(), event, result});
}

void Reply::Stream(const StreamedTokens& tokens) {
  if (!std::exchange(stream_begun_, true)) {
    // The head is sent only now, so that a failure before the first token still gets its own
    // status.
    http::ResponseHead head = setup_.writer->StreamHead();
    head.model_seconds = SecondsSinceStart();
    setup_.responder->BeginStream(std::move(head));
  }
  // If the client is gone, the cancel callback does the rest.
  setup_.responder->Write(setup_.writer->StreamTokens(setup_.call, tokens));
}

void Reply::OnEnd(const serving::EndEvent& event) {
  if (event.failure) return Fail(*event.failure);
  {
    const std::lock_guard lock(mutex_);
    if (--num_open_ > 0 || std::exchange(done_, true)) return;
  }
  Finish();
}

void Reply::Finish() {
  if (setup_.delivery == Delivery::kStreamed) return setup_.responder->End();
  http::Response response = setup_.writer->Whole(setup_.call, results_);
  response.head.model_seconds = SecondsSinceStart();
  setup_.responder->Send(std::move(response));
}

double Reply::SecondsSinceStart() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Reply::Fail(const serving::Reason& reason) {
  bool begun = false;
  std::optional<std::string> bytes;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(done_, true)) return;
    begun = stream_begun_;
    // Under the mutex, since further tokens of other inputs may still come.
    if (begun) bytes = setup_.writer->StreamFailure(setup_.call, reason, results_.front());
  }
  if (begun) {
    if (bytes) {
      setup_.responder->Write(*bytes);
      setup_.responder->End();
    } else {
      setup_.responder->Abort();
    }
  } else {
    setup_.responder->Send(setup_.writer->Failure(reason));
  }
  CancelAll(Status(StatusCode::kCancelled, "another input of the request failed"));
}

void Reply::CancelAll(const Status& reason) {
  std::vector<std::shared_ptr<serving::Generation>> generations;
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    generations = generations_;
  }
  for (const auto& generation : generations) generation->Cancel(reason);
}

std::vector<const SequenceResult*> RankSequences(const InputResult& result) {
  std::vector<const SequenceResult*> ranked;
  for (const SequenceResult& sequence : result.sequences) ranked.push_back(&sequence);
  if (result.sequences.front().beam_score) return ranked;
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const SequenceResult* a, const SequenceResult* b) {
                     return a->sum_logprobs > b->sum_logprobs;
                   });
  return ranked;
}

}  // namespace dray::api
