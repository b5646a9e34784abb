#include "scheduler/testing/beam_simulation.h"

#include <algorithm>

namespace dray::scheduler {
namespace {

constexpr uint64_t kFreedEntry = 0xBAD0BAD0BAD0BAD0u;
constexpr int64_t kMaxSteps = 200000;

}  // namespace

BeamSimulation::BeamSimulation(uint64_t seed, size_t max_in_flight)
    : random_(seed), max_in_flight_(max_in_flight) {
  options_.block_size = static_cast<int32_t>(random_.Between(1, 4));
  options_.num_blocks = static_cast<int32_t>(random_.Between(24, 80));
  options_.max_sequences = random_.Between(1, 8);
  options_.max_batch_tokens = options_.max_sequences + random_.Between(0, 12);
  options_.max_prefill_chunk_tokens = random_.Between(1, 9);
  scheduler_.emplace(Scheduler::Create(options_).value());
  cache_.assign(static_cast<size_t>(int64_t{options_.num_blocks} * options_.block_size),
                kFreedEntry);
  num_to_come_ = random_.Between(3, 12);
}

BeamSimulation::Beam* BeamSimulation::Find(SequenceId id) {
  const auto found = request_of_.find(id);
  if (found == request_of_.end()) return nullptr;
  for (Beam& beam : requests_.at(found->second).beams) {
    if (beam.id == id) return &beam;
  }
  return nullptr;
}

void BeamSimulation::Arrive() {
  --num_to_come_;
  Request request;
  request.num_prompt_tokens = random_.Between(1, 12);
  request.max_new_tokens = random_.Between(1, 12);
  request.num_beams = static_cast<size_t>(random_.Between(1, 5));
  const uint64_t key = next_id_++;
  Beam& first = request.beams.emplace_back();
  first.id = SequenceId(key);
  uint64_t value = key;
  for (int64_t i = 0; i < request.num_prompt_tokens; ++i) {
    value = Mix(value, static_cast<uint64_t>(i));
    first.values.push_back(value);
  }
  const int64_t tokens = request.num_prompt_tokens + request.max_new_tokens;
  const int64_t blocks = (tokens + options_.block_size - 1) / options_.block_size;
  const auto num_beams = static_cast<int64_t>(request.num_beams);
  const bool fits =
      num_beams <= options_.max_sequences && blocks * num_beams <= options_.num_blocks;
  const Status status = scheduler_->Add({.id = first.id,
                                         .num_prompt_tokens = request.num_prompt_tokens,
                                         .max_new_tokens = request.max_new_tokens,
                                         .num_beams = num_beams});
  Expect(status.ok() == fits, "{} beams of {} blocks: {}", num_beams, blocks, status.ToString());
  if (!status.ok()) return;
  request_of_.emplace(first.id, key);
  requests_.emplace(key, std::move(request));
}

void BeamSimulation::Forget(const Request& request) {
  const uint64_t key = request_of_.at(request.beams.front().id);
  for (const Beam& beam : request.beams) request_of_.erase(beam.id);
  requests_.erase(key);
}

void BeamSimulation::CancelSome() {
  if (requests_.empty()) return;
  auto victim = requests_.begin();
  std::advance(victim, random_.Between(0, static_cast<int64_t>(requests_.size()) - 1));
  for (const Beam& beam : victim->second.beams) scheduler_->Cancel(beam.id);
  Forget(victim->second);
}

bool BeamSimulation::SubmitPlan() {
  const Plan& plan = scheduler_->Schedule();
  Expect(!plan.empty() || !in_flight_.empty() || requests_.empty(),
         "nothing is planned, but there are {} requests", requests_.size());
  Expect(static_cast<int64_t>(plan.entries.size()) <= options_.max_sequences, "{} entries",
         plan.entries.size());
  if (plan.empty()) return false;
  for (const PlanEntry& entry : plan.entries) {
    const Beam* beam = Find(entry.id);
    Expect(beam != nullptr && !beam->held, "sequence {} is planned, but held", entry.id.value());
  }
  in_flight_.push_back(&plan);
  return true;
}

size_t BeamSimulation::Slot(const PlanEntry& entry, int64_t position) const {
  const BlockId block = entry.block_table[static_cast<size_t>(position / options_.block_size)];
  return static_cast<size_t>(block.value() * options_.block_size + position % options_.block_size);
}

void BeamSimulation::Compute(const PlanEntry& entry) {
  const Beam* beam = Find(entry.id);
  if (beam == nullptr) return;  // cancelled
  for (int64_t i = 0; i < entry.first_token; ++i) {
    Expect(cache_[Slot(entry, i)] == beam->values[static_cast<size_t>(i)],
           "sequence {} finds another value at position {}", entry.id.value(), i);
  }
  for (int64_t i = entry.first_token; i < entry.first_token + entry.num_tokens; ++i) {
    cache_[Slot(entry, i)] = beam->values[static_cast<size_t>(i)];
  }
}

SequenceResult BeamSimulation::ResultOf(const PlanEntry& entry) {
  Beam* beam = Find(entry.id);
  if (beam == nullptr) return {.id = entry.id};
  const Request& request = requests_.at(request_of_.at(entry.id));
  if (request.num_beams > 1) {
    beam->held = true;
    return {.id = entry.id, .num_new_tokens = 0, .outcome = Outcome::kHeld};
  }
  beam->values.push_back(Mix(beam->values.back(), random_.Next()));
  return {.id = entry.id};
}

void BeamSimulation::RunOldest(Fate fate) {
  const Plan& plan = *in_flight_.front();
  in_flight_.pop_front();
  for (const BlockCopy& copy : plan.block_copies) {
    ++num_copies_;
    for (int32_t i = 0; i < options_.block_size; ++i) {
      cache_[static_cast<size_t>(int64_t{copy.to.value()} * options_.block_size + i)] =
          cache_[static_cast<size_t>(int64_t{copy.from.value()} * options_.block_size + i)];
    }
  }
  for (const PlanEntry& entry : plan.entries) Compute(entry);
  std::vector<SequenceResult> results;
  for (const PlanEntry& entry : plan.entries) {
    if (entry.sampling == Sampling::kNo) continue;
    const bool is_lost = fate == Fate::kLost && random_.OneIn(2);
    results.push_back(is_lost ? SequenceResult{.id = entry.id, .num_new_tokens = 0}
                              : ResultOf(entry));
  }
  std::vector<SequenceId> ended;
  if (fate == Fate::kLost) {
    const auto span = scheduler_->PreemptAll(results);
    ended.assign(span.begin(), span.end());
    in_flight_.clear();
    std::fill(cache_.begin(), cache_.end(), kFreedEntry);
  } else {
    const auto span = scheduler_->Update(results);
    ended.assign(span.begin(), span.end());
  }
  for (const SequenceId id : ended) {
    Expect(Find(id) != nullptr, "sequence {} ended twice", id.value());
    if (Find(id) != nullptr) Forget(requests_.at(request_of_.at(id)));
  }
  ChooseBeams();
}

void BeamSimulation::ChooseBeams() {
  std::vector<uint64_t> ready;
  for (const auto& [key, request] : requests_) {
    const auto held = [](const Beam& beam) { return beam.held; };
    if (std::all_of(request.beams.begin(), request.beams.end(), held)) ready.push_back(key);
  }
  for (const uint64_t key : ready) {
    Request& request = requests_.at(key);
    const auto num_generated =
        static_cast<int64_t>(request.beams.front().values.size()) - request.num_prompt_tokens;
    if (num_generated + 1 < request.max_new_tokens) {
      Continue(request);
      continue;
    }
    for (const Beam& beam : request.beams) scheduler_->Cancel(beam.id);
    Forget(request);
  }
}

void BeamSimulation::Continue(Request& request) {
  const std::vector<Beam> before = request.beams;
  const uint64_t key = request_of_.at(before.front().id);
  std::vector<BeamMove> moves;
  while (request.beams.size() < request.num_beams) {
    request.beams.emplace_back().id = SequenceId(next_id_++);
    request_of_.emplace(request.beams.back().id, key);
  }
  // Often the beams stay as they are, so that they part further.
  const bool stay = before.size() == request.num_beams && random_.OneIn(3);
  for (size_t i = 0; i < request.num_beams; ++i) {
    const auto last = static_cast<int64_t>(before.size()) - 1;
    const size_t parent = stay ? i : static_cast<size_t>(random_.Between(0, last));
    num_moves_ += parent != i ? 1 : 0;
    moves.push_back({.id = request.beams[i].id, .parent = before[parent].id});
    request.beams[i].values = before[parent].values;
    request.beams[i].values.push_back(Mix(before[parent].values.back(), random_.Next()));
    request.beams[i].held = false;
  }
  scheduler_->ContinueBeams(moves);
}

void BeamSimulation::PoisonFreeBlocks() {
  // A step in flight may still copy from a block that is free by now.
  if (!in_flight_.empty()) return;
  for (int32_t block = 0; block < options_.num_blocks; ++block) {
    if (scheduler_->blocks().num_holders(BlockId(block)) > 0) continue;
    for (int32_t i = 0; i < options_.block_size; ++i) {
      cache_[static_cast<size_t>(int64_t{block} * options_.block_size + i)] = kFreedEntry;
    }
  }
}

std::string BeamSimulation::Run() {
  while ((num_to_come_ > 0 || !requests_.empty() || !in_flight_.empty()) && error_.empty()) {
    Expect(++step_ < kMaxSteps, "no end");
    if (num_to_come_ > 0 && (requests_.empty() || random_.OneIn(4))) Arrive();
    if (random_.OneIn(60)) CancelSome();
    while (in_flight_.size() < max_in_flight_ && !random_.OneIn(4) && SubmitPlan()) {
    }
    if (!in_flight_.empty()) RunOldest(random_.OneIn(50) ? Fate::kLost : Fate::kComputed);
    const Status status = scheduler_->CheckIntegrity();
    Expect(status.ok(), "{}", status.ToString());
    PoisonFreeBlocks();
  }
  Expect(scheduler_->idle() && scheduler_->blocks().num_free() == options_.num_blocks,
         "{} blocks are free at the end", scheduler_->blocks().num_free());
  return error_;
}

}  // namespace dray::scheduler
