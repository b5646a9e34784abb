// A token passes the text stream, then the stop checker; its text is what the stop checker returns.
#include "serving/generation.h"

#include <algorithm>
#include <span>
#include <utility>

namespace dray::serving {
namespace {

bool Contains(const std::vector<int32_t>& ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

Generation::Generation(Setup setup)
    : setup_(std::move(setup)),
      num_prompt_tokens_(static_cast<int64_t>(setup_.prompt.size())),
      clock_(setup_.metrics, num_prompt_tokens_),
      num_open_(setup_.params.n),
      last_event_(Clock::now()) {
  const auto stop_text = setup_.params.include_stop_str_in_output ? sampling::StopText::kInclude
                                                                  : sampling::StopText::kExclude;
  const auto text_before = setup_.continues_prompt ? std::span<const int32_t>(setup_.prompt)
                                                   : std::span<const int32_t>();
  for (int64_t i = 0; i < setup_.params.n; ++i) {
    sequences_.push_back({.stream = setup_.codec->NewStream(setup_.special_tokens, text_before),
                          .stop_checker = {setup_.params.stop_strings, stop_text}});
  }
}

void Generation::OnEvent(engine::Event event) {
  last_event_ = Clock::now();
  begun_ = true;
  std::visit(
      [this](const auto& typed) {
        using T = std::decay_t<decltype(typed)>;
        if constexpr (std::is_same_v<T, engine::PromptEvent>) OnPrompt(typed);
        if constexpr (std::is_same_v<T, engine::TokenEvent>) OnToken(typed);
        if constexpr (std::is_same_v<T, engine::SequenceEndEvent>) OnSequenceEnd(typed);
        if constexpr (std::is_same_v<T, engine::RequestEndEvent>) OnRequestEnd(typed);
      },
      event);
}

void Generation::OnPrompt(const engine::PromptEvent& event) {
  PromptTextEvent out;
  for (size_t i = 0; i < setup_.prompt.size(); ++i) {
    const int32_t id = setup_.prompt[i];
    TextToken token{.id = id,
                    .text = setup_.codec->TokenText(id),
                    .logprob = std::nullopt,
                    .special = setup_.codec->IsSpecial(id),
                    .tops = {}};
    if (i > 0 && i <= event.logprobs.size()) token.logprob = event.logprobs[i - 1];
    if (i > 0 && i <= event.tops.size()) token.tops = Tops(event.tops[i - 1]);
    out.tokens.push_back(std::move(token));
  }
  Deliver(std::move(out));
}

void Generation::OnToken(const engine::TokenEvent& event) {
  SequenceText& sequence = sequences_.at(static_cast<size_t>(event.sequence_idx));
  // The engine may compute a few more tokens after a stop string was found.
  if (sequence.ended) return;
  const int32_t id = event.token.id;
  ++sequence.num_tokens;
  clock_.OnToken(last_event_, sequence.last_token);
  TextToken token{.id = id,
                  .text = std::string(sequence.stop_checker.Push(sequence.stream->Push(id))),
                  .logprob = std::nullopt,
                  .special = setup_.codec->IsSpecial(id),
                  .tops = Tops(event.tops)};
  if (setup_.params.num_logprobs) token.logprob = event.token.logprob;
  const bool held = MayBeLast(sequence, token);
  SequenceTextEvent out{.sequence_idx = event.sequence_idx,
                        .num_prompt_tokens = num_prompt_tokens_,
                        .tokens = std::exchange(sequence.held, {}),
                        .finish = std::nullopt,
                        .tail_text = {}};
  (held || sequence.stop_checker.stopped() ? sequence.held : out.tokens)
      .push_back(std::move(token));
  if (!out.tokens.empty()) Deliver(std::move(out));
  if (sequence.stop_checker.stopped())
    EndSequence({event.sequence_idx, sampling::FinishReason::kStopString});
}

bool Generation::MayBeLast(const SequenceText& sequence, const TextToken& token) const {
  // A token without text may wait, since no reader misses it. End tokens have no text in most
  // vocabularies.
  return token.text.empty() || token.special ||
         sequence.num_tokens >= setup_.params.max_new_tokens ||
         Contains(setup_.eos_token_ids, token.id) ||
         Contains(setup_.params.stop_token_ids, token.id);
}

void Generation::OnSequenceEnd(const engine::SequenceEndEvent& event) { EndSequence(event); }

void Generation::EndSequence(const engine::SequenceEndEvent& end) {
  SequenceText& sequence = sequences_.at(static_cast<size_t>(end.sequence_idx));
  if (std::exchange(sequence.ended, true)) return;
  SequenceTextEvent out{.sequence_idx = end.sequence_idx,
                        .num_prompt_tokens = num_prompt_tokens_,
                        .tokens = std::exchange(sequence.held, {}),
                        .finish = end.reason,
                        .beam_score = end.beam_score,
                        .tail_text = {}};
  if (!sequence.stop_checker.stopped()) {
    std::string tail(sequence.stop_checker.Push(sequence.stream->Flush()));
    tail += sequence.stop_checker.Flush();
    if (sequence.stop_checker.stopped()) out.finish = sampling::FinishReason::kStopString;
    (out.tokens.empty() ? out.tail_text : out.tokens.back().text) += tail;
  }
  const sampling::FinishReason out_reason = *out.finish;
  const bool is_last = --num_open_ == 0;
  // Before the client has the whole answer, since it may ask again at once.
  if (is_last) setup_.ticket = {};
  Deliver(std::move(out));
  if (!is_last) return;
  clock_.OnEnd(out_reason == sampling::FinishReason::kLength ? RequestOutcome::kLength
                                                             : RequestOutcome::kStop);
  Deliver(EndEvent{});
  finished_ = true;
  setup_.sink.reset();
  // The engine does not see that a stop string ended a sequence.
  const bool runs_on =
      std::any_of(sequences_.begin(), sequences_.end(),
                  [](const SequenceText& one) { return one.stop_checker.stopped(); });
  if (runs_on) Cancel(OkStatus());
}

void Generation::OnRequestEnd(const engine::RequestEndEvent& event) {
  Reason reason = event.status;
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    if (event.status.code() == StatusCode::kCancelled && cancel_reason_) reason = *cancel_reason_;
  }
  setup_.ticket = {};
  if (finished_) return;
  clock_.OnEnd(OutcomeOf(reason));
  if (event.status.ok()) {
    reason = Status(StatusCode::kInternal, "the engine ended a request before its sequences");
  }
  Deliver(EndEvent{std::move(reason)});
  finished_ = true;
  setup_.sink.reset();
}

void Generation::Deliver(TextEvent event) {
  if (!finished_) setup_.sink->OnEvent(std::move(event));
}

std::vector<TopToken> Generation::Tops(const std::vector<sampling::TokenLogprob>& tops) const {
  std::vector<TopToken> out;
  out.reserve(tops.size());
  for (const sampling::TokenLogprob& top : tops) {
    out.push_back({top, setup_.codec->TokenText(top.id)});
  }
  return out;
}

void Generation::SetStarted(engine::Engine& engine, RequestId id) {
  const std::lock_guard lock(mutex_);
  engine_ = &engine;
  id_ = id;
  if (cancel_reason_ && !over_) engine.Cancel(id);
}

bool Generation::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancel_reason_.has_value();
}

void Generation::Cancel(Reason reason) {
  // The engine cannot be destroyed while this lock is held: its last event for this request needs
  // the lock.
  const std::lock_guard lock(mutex_);
  if (over_ || cancel_reason_) return;
  cancel_reason_ = std::move(reason);
  if (engine_ != nullptr) engine_->Cancel(id_);
}

void Generation::CancelIfLate(Clock::time_point now, std::chrono::milliseconds first_limit,
                              std::chrono::milliseconds next_limit) {
  const auto limit = begun_ ? next_limit : first_limit;
  if (over_ || now - last_event_.load() < limit) return;
  Cancel(TimedOut{limit});
}

}  // namespace dray::serving
