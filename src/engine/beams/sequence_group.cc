#include "engine/beams/sequence_group.h"

#include "engine/beams/beam_group.h"
#include "engine/beams/contrastive_group.h"
#include "engine/request_table.h"
#include "engine/sequence.h"
#include "sampling/params.h"

namespace dray::engine {
namespace {

// A member beside `first`, which still has only the prompt.
std::unique_ptr<Sequence> MakeMember(const Sequence& first, int member) {
  auto sequence = std::make_unique<Sequence>();
  sequence->request = first.request;
  sequence->sequence_idx = member;
  sequence->num_prompt_tokens = first.num_prompt_tokens;
  sequence->tokens.reserve(first.tokens.capacity());
  sequence->tokens = first.tokens;
  sequence->num_reached = first.num_reached;
  return sequence;
}

}  // namespace

std::span<const scheduler::BeamMove> SequenceGroup::Follow(std::span<const Move> moves,
                                                           Request& request,
                                                           RequestTable& requests) {
  const bool is_first = sequences_.empty();
  if (is_first) {
    sequences_ = request.open_sequences;
    const Sequence& first = *requests.Find(sequences_.front());
    while (sequences_.size() < moves.size()) {
      const auto member = static_cast<int>(sequences_.size());
      sequences_.push_back(requests.Add(MakeMember(first, member)).id);
    }
    new_tokens_.resize(moves.size());
  }
  moves_.clear();
  // All are read before the first is written.
  for (size_t member = 0; member < moves.size(); ++member) {
    // Before the first choice all members are the prompt, which the first one has computed.
    const auto parent = is_first ? 0 : static_cast<size_t>(moves[member].parent);
    moves_.push_back({.id = sequences_[member], .parent = sequences_[parent]});
    const Sequence& source = *requests.Find(sequences_[parent]);
    new_tokens_[member].assign(source.tokens.begin() + source.num_prompt_tokens,
                               source.tokens.end());
    new_tokens_[member].push_back(moves[member].token_id);
  }
  for (size_t member = 0; member < moves.size(); ++member) {
    Sequence& sequence = *requests.Find(sequences_[member]);
    sequence.tokens.resize(static_cast<size_t>(sequence.num_prompt_tokens));
    sequence.tokens.insert(sequence.tokens.end(), new_tokens_[member].begin(),
                           new_tokens_[member].end());
  }
  return moves_;
}

std::unique_ptr<SequenceGroup> MakeSequenceGroup(const GroupSpec& spec) {
  if (sampling::UsesBeams(spec.params)) {
    return std::make_unique<BeamGroup>(sampling::BeamSamplerSpec{
        .params = spec.params, .eos_token_ids = spec.eos_token_ids, .prompt = spec.prompt});
  }
  if (sampling::UsesContrastiveSearch(spec.params)) {
    return std::make_unique<ContrastiveGroup>(sampling::ContrastiveSpec{
        .params = spec.params, .eos_token_ids = spec.eos_token_ids, .prompt = spec.prompt});
  }
  return nullptr;
}

}  // namespace dray::engine
