// The simulation's events, its fake model and its fake cache.
#include "scheduler/testing/simulation.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace dray::scheduler {

Simulation::Simulation(uint64_t seed, size_t max_in_flight)
    : random_(Mix(seed, 1)), max_in_flight_(max_in_flight) {
  options_.block_size = static_cast<int32_t>(random_.Between(1, 6));
  options_.num_blocks = static_cast<int32_t>(random_.Between(3, 24));
  options_.max_sequences = random_.Between(1, 6);
  options_.max_batch_tokens = options_.max_sequences + random_.Between(0, 24);
  options_.max_prefill_chunk_tokens = random_.Between(1, 12);
  arrival_interval_ = random_.Between(1, 8);
  options_.whole_prompts = seed % 4 == 3;
  if (options_.whole_prompts) options_.max_batch_tokens += capacity();
  cache_.assign(static_cast<size_t>(capacity()), kPoison);
  writer_.assign(cache_.size(), 0);
  auto scheduler = Scheduler::Create(options_);
  scheduler_.emplace(std::move(scheduler).value());
}

std::string Simulation::Run() {
  const int64_t num_steps = random_.Between(50, 500);
  for (int64_t i = 0; i < num_steps && error_.empty(); ++i) {
    ActAtRandom();
    Step();
  }
  Drain();
  return error_;
}

void Simulation::ActAtRandom() {
  if (random_.OneIn(arrival_interval_)) Arrive();
  if (random_.OneIn(6)) ForkSome();
  if (random_.OneIn(20)) CancelSome();
  if (random_.OneIn(200)) LoseCache();
}

void Simulation::Arrive() {
  ++num_events_;
  Client client;
  client.id = SequenceId(next_id_++);
  client.order = {client.id.value(), client.id.value()};
  client.prompt_seed = random_.Next();
  client.sample_seed = random_.Next();
  client.num_prompt_tokens = random_.Between(1, random_.OneIn(3) ? capacity() : capacity() / 4 + 1);
  client.max_new_tokens = random_.Between(1, std::max<int64_t>(1, capacity() / 2));
  client.finish_at = random_.Between(1, 2 * client.max_new_tokens);
  const Status status =
      scheduler_->Add({client.id, client.num_prompt_tokens, client.max_new_tokens});
  const bool fits = client.num_prompt_tokens + client.max_new_tokens <= capacity();
  Expect(status.code() == (fits ? StatusCode::kOk : StatusCode::kInvalidArgument),
         "Add returned {}", status.ToString());
  if (!status.ok()) return;
  for (int64_t p = 0; p < client.num_prompt_tokens; ++p) client.AppendToken(p);
  clients_.emplace(client.id, std::move(client));
}

Client* Simulation::PickClient() {
  if (clients_.empty()) return nullptr;
  auto it = clients_.begin();
  std::advance(it, random_.Between(0, static_cast<int64_t>(clients_.size()) - 1));
  return &it->second;
}

void Simulation::ForkSome() {
  const Client* parent = PickClient();
  if (parent == nullptr || clients_.size() > 24) return;
  ++num_events_;
  Client child = *parent;
  child.id = SequenceId(next_id_++);
  child.order.serial = child.id.value();
  child.sample_seed = random_.Next();
  child.is_fork = true;
  child.values.resize(static_cast<size_t>(child.num_prompt_tokens));
  child.num_computed = 0;
  child.running = child.cancelled = false;
  child.num_steps = 0;
  const Status status = scheduler_->Fork(parent->id, child.id);
  Expect(status.ok() != parent->cancelled, "Fork returned {}", status.ToString());
  if (status.ok()) clients_.emplace(child.id, std::move(child));
}

void Simulation::CancelSome() {
  Client* client = PickClient();
  if (client == nullptr || client->cancelled) return;
  ++num_events_;
  const bool known = scheduler_->Cancel(client->id);
  Expect(known, "Cancel does not know sequence {}", client->id.value());
  Expect(!scheduler_->Contains(client->id), "sequence {} outlives Cancel", client->id.value());
  client->cancelled = true;
  EraseCancelled();
}

void Simulation::LoseCache() {
  ++num_events_;
  scheduler_->PreemptAll();
  in_flight_.clear();
  std::fill(cache_.begin(), cache_.end(), kPoison);
  for (auto& [id, client] : clients_) Stop(client);
  EraseCancelled();
}

void Simulation::Stop(Client& client) {
  client.running = false;
  client.num_steps = client.num_computed = 0;
}

void Simulation::Step() {
  ++step_;
  const bool planned = SubmitPlan();
  if (!error_.empty() || in_flight_.empty()) return;
  if (planned && random_.OneIn(30)) CancelInFlight(*in_flight_.back().plan);
  if (planned && random_.OneIn(300)) {  // the steps never ran
    LoseCache();
    return;
  }
  if (planned && in_flight_.size() < max_in_flight_ && random_.OneIn(2)) return;
  RunOldest();
}

bool Simulation::SubmitPlan() {
  Propose();
  const Plan& plan = scheduler_->Schedule(proposals_);
  const bool must_plan = in_flight_.empty() && !clients_.empty();
  Expect(!plan.empty() || !must_plan, "no plan for {} sequences", clients_.size());
  for (const SequenceId id : plan.preempted) TakePreemption(plan, id);
  if (plan.empty() || !error_.empty()) return false;
  CheckPlan(plan);
  CheckBlocksInFlight(plan);
  if (!error_.empty()) return false;
  for (const PlanEntry& entry : plan.entries) {
    Client& client = clients_.at(entry.id);
    if (client.num_steps++ > 0) ++num_pieces_;
    client.num_planned = entry.first_token + entry.num_tokens - entry.num_drafts;
  }
  in_flight_.push_back({.plan = &plan, .step = step_, .free_blocks = FreeBlocks()});
  if (in_flight_.size() > 1) ++num_overlaps_;
  return true;
}

void Simulation::TakePreemption(const Plan& plan, SequenceId id) {
  const auto it = clients_.find(id);
  const bool running = it != clients_.end() && it->second.running && !it->second.in_flight();
  Expect(running, "{} preempted but not running", id.value());
  const bool planned = std::any_of(plan.entries.begin(), plan.entries.end(),
                                   [id](const PlanEntry& e) { return e.id == id; });
  Expect(!planned, "{} preempted and scheduled in one step", id.value());
  if (running) Stop(it->second);
}

void Simulation::RunOldest() {
  const StepInFlight step = std::move(in_flight_.front());
  in_flight_.pop_front();
  for (const BlockId block : step.free_blocks) PoisonBlock(block);
  for (const BlockCopy& copy : step.plan->block_copies) CopyBlock(copy);
  MarkWrites(step);
  results_.clear();
  for (const PlanEntry& entry : step.plan->entries) Compute(entry, step.step);
  Finish();
}

void Simulation::Propose() {
  proposals_.clear();
  if (!random_.OneIn(2)) return;
  for (const auto& [id, client] : clients_) {
    if (random_.OneIn(3)) proposals_.push_back({id, random_.Between(0, 8)});
  }
  if (random_.OneIn(10)) proposals_.push_back({SequenceId(next_id_), 1});
}

std::vector<BlockId> Simulation::FreeBlocks() const {
  std::vector<BlockId> blocks;
  for (int32_t b = 0; b < options_.num_blocks; ++b) {
    if (scheduler_->blocks().num_holders(BlockId(b)) == 0) blocks.push_back(BlockId(b));
  }
  return blocks;
}

void Simulation::PoisonBlock(BlockId block) {
  const auto begin = cache_.begin() + int64_t{block.value()} * options_.block_size;
  std::fill(begin, begin + options_.block_size, kPoison);
}

void Simulation::CopyBlock(const BlockCopy& copy) {
  ++num_copies_;
  const auto from = cache_.begin() + int64_t{copy.from.value()} * options_.block_size;
  std::copy(from, from + options_.block_size,
            cache_.begin() + int64_t{copy.to.value()} * options_.block_size);
}

size_t Simulation::Slot(const PlanEntry& entry, int64_t position) const {
  return static_cast<size_t>(int64_t{entry.block_table[position / options_.block_size].value()} *
                                 options_.block_size +
                             position % options_.block_size);
}

void Simulation::MarkWrites(const StepInFlight& step) {
  for (const PlanEntry& entry : step.plan->entries) {
    for (int64_t p = entry.first_token; p < entry.first_token + entry.num_tokens; ++p) {
      int64_t& writer = writer_[Slot(entry, p)];
      Expect(writer != step.step, "two sequences write one slot");
      writer = step.step;
    }
  }
}

void Simulation::Compute(const PlanEntry& entry, int64_t step) {
  Client& client = clients_.at(entry.id);
  for (int64_t p = 0; p < entry.first_token; ++p) {
    const size_t slot = Slot(entry, p);
    Expect(cache_[slot] == client.values[p], "sequence {} reads a wrong value at {}",
           entry.id.value(), p);
    Expect(writer_[slot] != step, "slot read is written in this step");
  }
  const int64_t end = entry.first_token + entry.num_tokens - entry.num_drafts;
  uint64_t value = client.prompt_seed;
  if (entry.first_token > 0) value = cache_[Slot(entry, entry.first_token - 1)];
  for (int64_t p = entry.first_token; p < end; ++p) {
    value = Mix(value, TokenAt(client, p));
    cache_[Slot(entry, p)] = value;
  }
  client.running = true;
  --client.num_steps;
  client.num_computed = end;
  if (entry.sampling == Sampling::kYes) SampleTokens(client, value, ComputeDrafts(client, entry));
}

int64_t Simulation::ComputeDrafts(const Client& client, const PlanEntry& entry) {
  const int64_t num_right = random_.Between(0, entry.num_drafts);
  uint64_t value = client.values.back();
  for (int64_t i = 0; i < entry.num_drafts; ++i) {
    value = Mix(value, i < num_right ? client.Sample(value) : kPoison);
    cache_[Slot(entry, client.num_known() + i)] = value;
  }
  num_accepted_ += num_right;
  num_rejected_ += entry.num_drafts - num_right;
  return num_right;
}

uint64_t Simulation::TokenAt(const Client& client, int64_t position) const {
  if (position < client.num_prompt_tokens) return static_cast<uint64_t>(position);
  return client.Sample(client.values[position - 1]);
}

void Simulation::SampleTokens(Client& client, uint64_t value, int64_t num_accepted) {
  const int64_t left = client.max_new_tokens - client.num_generated() - num_accepted;
  const int64_t num_more = random_.OneIn(10) ? random_.Between(1, std::min<int64_t>(4, left)) : 1;
  const int64_t num_new = num_accepted + num_more;
  client.num_computed += num_accepted;
  client.AppendToken(client.Sample(value));
  for (int64_t i = 1; i < num_new; ++i) client.AppendToken(client.Sample(client.values.back()));
  const bool finished = client.num_generated() >= client.finish_at;
  results_.push_back(
      {client.id, num_new, finished ? Outcome::kFinished : Outcome::kGoesOn, num_accepted});
}

void Simulation::CancelInFlight(const Plan& plan) {
  ++num_events_;
  const int64_t last = static_cast<int64_t>(plan.entries.size()) - 1;
  Client& client = clients_.at(plan.entries[random_.Between(0, last)].id);
  Expect(scheduler_->Cancel(client.id), "Cancel does not know a sequence in flight");
  client.cancelled = true;
}

void Simulation::EraseCancelled() {
  std::erase_if(clients_,
                [](const auto& item) { return item.second.cancelled && !item.second.in_flight(); });
}

void Simulation::Finish() {
  const auto ended = scheduler_->Update(results_);
  size_t num_expected = 0;
  for (const SequenceResult& result : results_) {
    const Client& client = clients_.at(result.id);
    const bool over =
        result.outcome == Outcome::kFinished || client.num_generated() == client.max_new_tokens;
    if (client.cancelled || !over) continue;
    ++num_expected;
    Expect(std::find(ended.begin(), ended.end(), client.id) != ended.end(),
           "sequence {} did not end", client.id.value());
  }
  Expect(ended.size() == num_expected, "{} ended instead of {}", ended.size(), num_expected);
  for (const SequenceId id : ended) clients_.erase(id);
  EraseCancelled();
  num_events_ += static_cast<int64_t>(ended.size());
  const Status status = scheduler_->CheckIntegrity();
  Expect(status.ok(), "{}", status.ToString());
  for (const auto& [id, client] : clients_) {
    Expect(client.cancelled || scheduler_->Contains(id), "sequence {} was lost", id.value());
  }
}

void Simulation::Drain() {
  int64_t bound = 8;
  for (const auto& [id, client] : clients_) {
    bound += 2 * (client.num_prompt_tokens + client.max_new_tokens);
  }
  // A sequence may wait for all steps in flight, and each takes a round to plan and one to run.
  if (max_in_flight_ > 1) bound *= 2 * static_cast<int64_t>(max_in_flight_);
  for (int64_t i = 0; i < bound && !clients_.empty() && error_.empty(); ++i) Step();
  Expect(clients_.empty(), "{} sequences left after {} steps of draining", clients_.size(), bound);
  Expect(scheduler_->idle(), "not idle after draining");
  Expect(scheduler_->blocks().num_free() == options_.num_blocks, "{} of {} blocks free at the end",
         scheduler_->blocks().num_free(), options_.num_blocks);
}

}  // namespace dray::scheduler
