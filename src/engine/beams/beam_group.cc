#include "engine/beams/beam_group.h"

#include <memory>

#include "engine/request_table.h"
#include "engine/sequence.h"

namespace dray::engine {
namespace {

// A beam beside `first`, which still has only the prompt.
std::unique_ptr<Sequence> MakeBeam(const Sequence& first, int beam) {
  auto sequence = std::make_unique<Sequence>();
  sequence->request = first.request;
  sequence->sequence_idx = beam;
  sequence->num_prompt_tokens = first.num_prompt_tokens;
  sequence->tokens.reserve(first.tokens.capacity());
  sequence->tokens = first.tokens;
  sequence->num_reached = first.num_reached;
  return sequence;
}

}  // namespace

Result<std::span<const scheduler::BeamMove>> BeamGroup::Advance(Request& request,
                                                                RequestTable& requests) {
  moves_.clear();
  DRAY_RETURN_IF_ERROR(sampler_.Advance());
  const sampling::BeamSearch& search = sampler_.search();
  if (search.done()) return std::span<const scheduler::BeamMove>(moves_);
  const auto moves = search.moves();
  if (search.num_steps() == 1) {
    sequences_ = request.open_sequences;  // the first beam
    const Sequence& first = *requests.Find(sequences_.front());
    while (sequences_.size() < moves.size()) {
      sequences_.push_back(requests.Add(MakeBeam(first, static_cast<int>(sequences_.size()))).id);
    }
    new_tokens_.resize(moves.size());
  }
  // All are read before the first is written.
  for (size_t beam = 0; beam < moves.size(); ++beam) {
    // In the first step all beams are the prompt, which the first one has computed.
    const auto parent = search.num_steps() == 1 ? 0 : static_cast<size_t>(moves[beam].parent);
    moves_.push_back({.id = sequences_[beam], .parent = sequences_[parent]});
    const Sequence& source = *requests.Find(sequences_[parent]);
    new_tokens_[beam].assign(source.tokens.begin() + source.num_prompt_tokens, source.tokens.end());
    new_tokens_[beam].push_back(moves[beam].token_id);
  }
  for (size_t beam = 0; beam < moves.size(); ++beam) {
    Sequence& sequence = *requests.Find(sequences_[beam]);
    sequence.tokens.resize(static_cast<size_t>(sequence.num_prompt_tokens));
    sequence.tokens.insert(sequence.tokens.end(), new_tokens_[beam].begin(),
                           new_tokens_[beam].end());
  }
  return std::span<const scheduler::BeamMove>(moves_);
}

void BeamGroup::Report(EventSink& sink) const {
  int sequence_idx = 0;
  for (const sampling::Hypothesis& hypothesis : sampler_.search().Best(sampler_.params().n)) {
    for (const sampling::TokenTree::Token& token : hypothesis.tokens) {
      sink.OnEvent(TokenEvent{.sequence_idx = sequence_idx,
                              .token = token.token,
                              .tops = {token.tops.begin(), token.tops.end()}});
    }
    sink.OnEvent(SequenceEndEvent{.sequence_idx = sequence_idx,
                                  .reason = sampler_.ReasonOf(hypothesis),
                                  .beam_score = hypothesis.score});
    ++sequence_idx;
  }
}

}  // namespace dray::engine
