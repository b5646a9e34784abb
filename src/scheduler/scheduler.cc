#include "scheduler/scheduler.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/checked_math.h"

namespace dray::scheduler {
namespace {

template <typename... Args>
Status Refuse(StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

Status CheckOptions(const SchedulerOptions& options) {
  const struct {
    const char* name;
    int64_t value;
    int64_t min;
  } rules[] = {
      {"num_blocks", options.num_blocks, 1},
      {"block_size", options.block_size, 1},
      {"max_sequences", options.max_sequences, 1},
      {"max_batch_tokens", options.max_batch_tokens, options.max_sequences},
      {"max_prefill_chunk_tokens", options.max_prefill_chunk_tokens, 1},
      {"pipeline.num_stages", options.pipeline.num_stages, 1},
  };
  for (const auto& rule : rules) {
    if (rule.value >= rule.min) continue;
    return Refuse(StatusCode::kInvalidArgument, "scheduler option {} is {}; it must be at least {}",
                  rule.name, rule.value, rule.min);
  }
  return OkStatus();
}

}  // namespace

Result<Scheduler> Scheduler::Create(const SchedulerOptions& options) {
  DRAY_RETURN_IF_ERROR(CheckOptions(options));
  return Scheduler(options);
}

Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(options), pool_(options.num_blocks) {}

int64_t Scheduler::BlocksFor(int64_t num_tokens) const {
  return DivideRoundUp<int64_t>(num_tokens, options_.block_size);
}

int64_t Scheduler::OutstandingBlocks(const Sequence& sequence) const {
  const int64_t held = static_cast<int64_t>(sequence.blocks.size());
  return std::max<int64_t>(0, BlocksFor(sequence.num_known() + 1) - held);
}

Status Scheduler::Add(const SequenceSpec& spec) {
  if (spec.num_prompt_tokens < 1 || spec.max_new_tokens < 1) {
    return Refuse(StatusCode::kInvalidArgument,
                  "a prompt of {} tokens and max_new_tokens {}: each must be at least 1",
                  spec.num_prompt_tokens, spec.max_new_tokens);
  }
  if (Contains(spec.id)) {
    return Refuse(StatusCode::kInvalidArgument, "sequence id {} is in use", spec.id.value());
  }
  if (spec.num_beams < 1 || spec.num_beams > options_.max_sequences) {
    return Refuse(StatusCode::kInvalidArgument,
                  "beam search with {} beams: they must be at least 1 and at most {}, the most "
                  "sequences of a step; ask for fewer beams or raise max_sequences",
                  spec.num_beams, options_.max_sequences);
  }
  const int64_t capacity = int64_t{options_.num_blocks} * options_.block_size;
  if (spec.num_prompt_tokens > capacity ||
      spec.max_new_tokens > capacity - spec.num_prompt_tokens) {
    return Refuse(
        StatusCode::kInvalidArgument,
        "a prompt of {} tokens and max_new_tokens {} do not fit the KV cache of {} tokens; "
        "shorten the prompt, lower max_new_tokens or give the cache more memory",
        spec.num_prompt_tokens, spec.max_new_tokens, capacity);
  }
  if (options_.whole_prompts &&
      spec.num_prompt_tokens > options_.max_batch_tokens - options_.max_sequences) {
    return Refuse(
        StatusCode::kInvalidArgument,
        "a prompt of {} tokens, which is computed in one step, does not fit into a step of "
        "{} tokens beside {} sequences; shorten the prompt",
        spec.num_prompt_tokens, options_.max_batch_tokens, options_.max_sequences);
  }
  const int64_t num_blocks = BlocksFor(spec.num_prompt_tokens + spec.max_new_tokens);
  if (num_blocks > options_.num_blocks / spec.num_beams) {
    return Refuse(
        StatusCode::kInvalidArgument,
        "{} beams of {} prompt tokens and up to {} new ones need {} blocks of the KV cache "
        "each, which has {}; ask for fewer beams, lower max_new_tokens or give the cache "
        "more memory",
        spec.num_beams, spec.num_prompt_tokens, spec.max_new_tokens, num_blocks,
        options_.num_blocks);
  }
  const SequenceIndex index = NewSequence(spec.id, spec.num_prompt_tokens, spec.max_new_tokens);
  table_[index].order.arrival = table_[index].order.serial;
  waiting_.InsertFromBack(table_, index);
  return OkStatus();
}

Status Scheduler::Fork(SequenceId parent, SequenceId child) {
  const auto found = index_of_.find(parent);
  if (found == index_of_.end()) {
    return Refuse(StatusCode::kNotFound, "there is no sequence {} to fork", parent.value());
  }
  if (Contains(child)) {
    return Refuse(StatusCode::kInvalidArgument, "sequence id {} is in use", child.value());
  }
  const SequenceIndex parent_index = found->second;
  const SequenceIndex index = NewSequence(child, table_[parent_index].num_prompt_tokens,
                                          table_[parent_index].max_new_tokens);
  table_[index].order.arrival = table_[parent_index].order.arrival;
  table_[index].parent = ParentLink{parent, table_[parent_index].order.serial};
  waiting_.InsertFromFront(table_, index);
  return OkStatus();
}

SequenceIndex Scheduler::NewSequence(SequenceId id, int64_t num_prompt_tokens,
                                     int64_t max_new_tokens) {
  if (unused_.empty()) {
    unused_.push_back(static_cast<SequenceIndex>(table_.size()));
    table_.emplace_back();
  }
  const SequenceIndex index = unused_.back();
  unused_.pop_back();
  Sequence& sequence = table_[index];
  sequence.id = id;
  sequence.state = SequenceState::kWaiting;
  sequence.order.serial = next_serial_++;
  sequence.parent.reset();
  sequence.num_prompt_tokens = num_prompt_tokens;
  sequence.max_new_tokens = max_new_tokens;
  sequence.num_generated = sequence.num_computed = sequence.num_scheduled = 0;
  sequence.held = false;
  // The vector never grows beyond this, so plans can keep views of it.
  sequence.blocks.reserve(static_cast<size_t>(BlocksFor(num_prompt_tokens + max_new_tokens)));
  index_of_.emplace(id, index);
  return index;
}

bool Scheduler::Cancel(SequenceId id) {
  const auto found = index_of_.find(id);
  if (found == index_of_.end()) return false;
  const SequenceIndex index = found->second;
  Sequence& sequence = table_[index];
  (sequence.state == SequenceState::kRunning ? running_ : waiting_).Remove(table_, index);
  if (sequence.num_scheduled > 0) {
    // The steps in flight read and write these blocks; the last one's Update frees them.
    sequence.state = SequenceState::kCancelled;
    index_of_.erase(found);
    return true;
  }
  Forget(index);
  return true;
}

// Frees the entry of the table. The sequence must have been removed from its queue.
void Scheduler::Forget(SequenceIndex index) {
  Sequence& sequence = table_[index];
  ReleaseBlocks(sequence, 0);
  if (sequence.state != SequenceState::kCancelled) index_of_.erase(sequence.id);
  sequence.state = SequenceState::kUnused;
  sequence.num_scheduled = 0;
  unused_.push_back(index);
}

// Releases all blocks but the first `num_kept`.
void Scheduler::ReleaseBlocks(Sequence& sequence, int64_t num_kept) {
  while (static_cast<int64_t>(sequence.blocks.size()) > num_kept) {
    pool_.Release(sequence.blocks.back());
    sequence.blocks.pop_back();
  }
}

const Plan& Scheduler::Schedule(std::span<const DraftProposal> proposals) {
  if (num_in_flight_ == steps_.size()) steps_.push_back(std::make_unique<Step>());
  next_step_ = steps_[num_in_flight_].get();
  Plan& plan = next_step_->plan;
  plan.entries.clear();
  plan.block_copies.clear();
  plan.preempted.clear();
  plan.num_tokens = 0;
  next_step_->indexes.clear();
  next_step_->has_decodes = false;
  next_step_->num_prompt_tokens_left =
      PromptStepTokens(options_.pipeline, NumPromptTokens(), options_.max_batch_tokens);
  if (isolated_) PreemptOthers();
  const size_t num_set_aside = plan.preempted.size();
  ScheduleRunning();
  // A sequence that was just preempted must not come straight back, and no new sequence may take
  // the blocks that it lost.
  if (plan.preempted.size() == num_set_aside) {
    AdmitWaiting();
    // Guesses are granted only if there are enough blocks for everything else.
    for (const DraftProposal& proposal : proposals) GrantDrafts(proposal);
  }
  if (!plan.empty()) ++num_in_flight_;
  return plan;
}

void Scheduler::ScheduleRunning() {
  const int64_t most = MostEntries();
  const bool decodes_wait = DecodesWait();
  int64_t num_decodes = 0;
  for (SequenceIndex i = running_.front(); i != kNoSequence && !decodes_wait; i = table_[i].next) {
    num_decodes += !table_[i].in_flight() && table_[i].num_pending() == 1 ? 1 : 0;
  }
  num_decodes = std::min(num_decodes, most);
  int64_t& prompt_tokens_left = next_step_->num_prompt_tokens_left;
  int64_t prefill_budget = options_.max_batch_tokens - num_decodes;
  // A sequence that GrowBlocks preempts is behind sequence i, so it has no entry in this plan yet.
  for (SequenceIndex i = running_.front(); i != kNoSequence; i = table_[i].next) {
    if (num_entries() >= most) return;
    Sequence& sequence = table_[i];
    // An isolated request leaves others in flight, but plans no more of them.
    if (sequence.num_unplanned() == 0 || !MayRun(sequence)) continue;
    const bool is_decode = sequence.num_pending() == 1;
    if (is_decode && decodes_wait) continue;
    const int64_t wanted =
        is_decode ? 1
                  : std::min({sequence.num_unplanned(), options_.max_prefill_chunk_tokens,
                              prefill_budget, prompt_tokens_left});
    if (wanted == 0) continue;
    const int64_t granted =
        GrowBlocks(sequence, sequence.num_computed + sequence.num_scheduled, wanted);
    if (granted == 0) continue;
    if (is_decode) {
      next_step_->has_decodes = true;
    } else {
      prefill_budget -= granted;
      prompt_tokens_left -= granted;
    }
    AddEntry(i, granted);
  }
}

// Gives the sequence blocks for up to `num_tokens` tokens from position `first` on, and returns for
// how many of them it has blocks. Preempts later arrivals only if there would be no block for even one.
int64_t Scheduler::GrowBlocks(Sequence& sequence, int64_t first, int64_t num_tokens) {
  if (!OwnNextBlock(sequence, first)) return 0;
  const auto room = [&] {
    return static_cast<int64_t>(sequence.blocks.size()) * options_.block_size - first;
  };
  while (room() < num_tokens) {
    if (const auto block = pool_.Allocate()) {
      sequence.blocks.push_back(*block);
    } else if (room() > 0 || !PreemptBehind(sequence.order)) {
      break;
    }
  }
  return std::min(num_tokens, room());
}

bool Scheduler::PreemptBehind(const Order& order) {
  const SequenceIndex last = running_.back();
  if (!(order < table_[last].order) || table_[last].in_flight()) return false;
  next_step_->plan.preempted.push_back(table_[last].id);
  Preempt(last);
  return true;
}

void Scheduler::AddEntry(SequenceIndex index, int64_t num_tokens) {
  Sequence& sequence = table_[index];
  Plan& plan = next_step_->plan;
  // Only blocks with one holder are written: OwnNextBlock.
  const int64_t first = sequence.num_computed + sequence.num_scheduled;
  DRAY_DCHECK(pool_.num_holders(sequence.blocks[first / options_.block_size]) == 1);
  sequence.entry = plan.entries.size();
  plan.entries.push_back(
      {.id = sequence.id,
       .first_token = first,
       .num_tokens = num_tokens,
       .block_table = sequence.blocks,
       .sampling = num_tokens == sequence.num_unplanned() ? Sampling::kYes : Sampling::kNo});
  sequence.num_scheduled += num_tokens;
  plan.num_tokens += num_tokens;
  next_step_->indexes.push_back(index);
}

void Scheduler::GrantDrafts(const DraftProposal& proposal) {
  const auto found = index_of_.find(proposal.id);
  if (found == index_of_.end()) return;
  Sequence& sequence = table_[found->second];
  Plan& plan = next_step_->plan;
  const bool planned = sequence.in_flight() && sequence.entry < plan.entries.size() &&
                       plan.entries[sequence.entry].id == sequence.id;
  if (!planned || sequence.num_scheduled != 1 || sequence.num_pending() != 1) return;
  // The step yields one token more than the guesses that are accepted.
  const int64_t wanted = std::min({proposal.num_drafts, options_.max_batch_tokens - plan.num_tokens,
                                   sequence.max_new_tokens - sequence.num_generated - 1});
  if (wanted <= 0) return;
  // This preempts no sequence, because there is room for the sequence's own token already.
  const int64_t granted = GrowBlocks(sequence, sequence.num_computed, 1 + wanted) - 1;
  PlanEntry& entry = plan.entries[sequence.entry];
  entry.num_tokens += granted;
  entry.num_drafts = granted;
  entry.block_table = sequence.blocks;
  plan.num_tokens += granted;
  sequence.num_scheduled += granted;
}

std::span<const SequenceId> Scheduler::Update(std::span<const SequenceResult> results) {
  DRAY_CHECK(num_in_flight_ > 0);
  const Step& step = *steps_.front();
  // The step's memory is now free for the next plan.
  std::rotate(steps_.begin(), steps_.begin() + 1,
              steps_.begin() + static_cast<std::ptrdiff_t>(num_in_flight_--));
  ended_.clear();
  size_t num_used = 0;
  for (size_t i = 0; i < step.indexes.size(); ++i) {
    const PlanEntry& entry = step.plan.entries[i];
    const SequenceResult* result = nullptr;
    if (entry.sampling == Sampling::kYes) {
      DRAY_CHECK(num_used < results.size() && results[num_used].id == entry.id);
      result = &results[num_used++];
    }
    UpdateSequence(step.indexes[i], entry, result);
  }
  DRAY_CHECK(num_used == results.size());
  return ended_;
}

void Scheduler::UpdateSequence(SequenceIndex index, const PlanEntry& entry,
                               const SequenceResult* result) {
  Sequence& sequence = table_[index];
  sequence.num_computed += entry.num_tokens;
  sequence.num_scheduled -= entry.num_tokens;
  if (sequence.state == SequenceState::kCancelled) {
    if (!sequence.in_flight()) Forget(index);
    return;
  }
  if (result == nullptr) return;
  if (result->outcome == Outcome::kHeld) {
    sequence.held = true;
    return;
  }
  DRAY_CHECK(result->num_accepted >= 0 && result->num_accepted <= entry.num_drafts &&
             result->num_accepted < result->num_new_tokens);
  if (result->num_accepted < entry.num_drafts) {
    // The slots of the refused guesses will be written again by later steps.
    sequence.num_computed -= entry.num_drafts - result->num_accepted;
    ReleaseBlocks(sequence, BlocksFor(sequence.num_computed));
  }
  TakeTokens(index, *result);
}

void Scheduler::TakeTokens(SequenceIndex index, const SequenceResult& result) {
  Sequence& sequence = table_[index];
  DRAY_CHECK(result.num_new_tokens >= 1 &&
             result.num_new_tokens <= sequence.max_new_tokens - sequence.num_generated);
  sequence.num_generated += result.num_new_tokens;
  if (result.outcome == Outcome::kGoesOn && sequence.num_generated < sequence.max_new_tokens) {
    return;
  }
  ended_.push_back(sequence.id);
  running_.Remove(table_, index);
  Forget(index);
}

Status Scheduler::CheckIntegrity() const {
  DRAY_RETURN_IF_ERROR(pool_.CheckIntegrity());
  std::vector<int32_t> num_holders(static_cast<size_t>(pool_.num_blocks()), 0);
  for (const Sequence& sequence : table_) {
    for (const BlockId block : sequence.blocks) ++num_holders[block.value()];
    const bool may_hold =
        sequence.state == SequenceState::kRunning || sequence.state == SequenceState::kCancelled;
    if (!may_hold && !sequence.blocks.empty()) {
      return Refuse(StatusCode::kInternal, "sequence {} holds {} blocks but does not run",
                    sequence.id.value(), sequence.blocks.size());
    }
  }
  for (int32_t i = 0; i < pool_.num_blocks(); ++i) {
    if (num_holders[i] == pool_.num_holders(BlockId(i))) continue;
    return Refuse(StatusCode::kInternal, "block {} counts {} holders, but {} tables hold it", i,
                  pool_.num_holders(BlockId(i)), num_holders[i]);
  }
  return OkStatus();
}

}  // namespace dray::scheduler
