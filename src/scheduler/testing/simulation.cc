// The simulation's events, its fake model and its fake cache.
#include "scheduler/testing/simulation.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace dray::scheduler {

Simulation::Simulation(uint64_t seed) : random_(Mix(seed, 1)) {
  options_.block_size = static_cast<int32_t>(random_.Between(1, 6));
  options_.num_blocks = static_cast<int32_t>(random_.Between(3, 24));
  options_.max_sequences = random_.Between(1, 6);
  options_.max_batch_tokens = options_.max_sequences + random_.Between(0, 24);
  options_.max_prefill_chunk_tokens = random_.Between(1, 12);
  options_.max_waiting = random_.Between(1, 8);
  arrival_interval_ = random_.Between(1, 8);
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
  const bool queue_full = scheduler_->num_waiting() >= options_.max_waiting;
  const Status status =
      scheduler_->Add({client.id, client.num_prompt_tokens, client.max_new_tokens});
  const bool fits = client.num_prompt_tokens + client.max_new_tokens <= capacity();
  const StatusCode expected = !fits        ? StatusCode::kInvalidArgument
                              : queue_full ? StatusCode::kUnavailable
                                           : StatusCode::kOk;
  Expect(status.code() == expected, "Add returned {}", status.ToString());
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
  const Status status = scheduler_->Fork(parent->id, child.id);
  Expect(status.ok() != parent->cancelled, "Fork returned {}", status.ToString());
  if (status.ok()) clients_.emplace(child.id, std::move(child));
}

void Simulation::CancelSome() {
  Client* client = PickClient();
  if (client == nullptr) return;
  ++num_events_;
  const bool known = scheduler_->Cancel(client->id);
  Expect(known, "Cancel does not know sequence {}", client->id.value());
  Expect(!scheduler_->Contains(client->id), "sequence {} outlives Cancel", client->id.value());
  clients_.erase(client->id);
}

void Simulation::LoseCache() {
  ++num_events_;
  scheduler_->PreemptAll();
  std::fill(cache_.begin(), cache_.end(), kPoison);
  for (auto& [id, client] : clients_) Stop(client);
}

void Simulation::Stop(Client& client) {
  client.running = false;
  client.num_computed = 0;
}

void Simulation::Step() {
  ++step_;
  Propose();
  const Plan& plan = scheduler_->Schedule(proposals_);
  Expect(plan.empty() == clients_.empty(), "plan has {} entries for {} sequences",
         plan.entries.size(), clients_.size());
  if (plan.empty() || !error_.empty()) return;
  for (const SequenceId id : plan.preempted) {
    const auto it = clients_.find(id);
    Expect(it != clients_.end() && it->second.running, "{} preempted but not running", id.value());
    const bool planned = std::any_of(plan.entries.begin(), plan.entries.end(),
                                     [id = id](const PlanEntry& e) { return e.id == id; });
    Expect(!planned, "{} preempted and scheduled in one step", id.value());
    if (it != clients_.end()) Stop(it->second);
  }
  CheckPlan(plan);
  if (!error_.empty()) return;
  if (random_.OneIn(30)) CancelInFlight(plan);
  if (random_.OneIn(300)) {  // the step never ran
    EraseCancelled();
    LoseCache();
    return;
  }
  PoisonFreeBlocks();
  for (const BlockCopy& copy : plan.block_copies) CopyBlock(copy);
  MarkWrites(plan);
  results_.clear();
  for (const PlanEntry& entry : plan.entries) Compute(entry);
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

void Simulation::PoisonFreeBlocks() {
  for (int32_t b = 0; b < options_.num_blocks; ++b) {
    if (scheduler_->blocks().num_holders(BlockId(b)) > 0) continue;
    const auto begin = cache_.begin() + int64_t{b} * options_.block_size;
    std::fill(begin, begin + options_.block_size, kPoison);
  }
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

void Simulation::MarkWrites(const Plan& plan) {
  for (const PlanEntry& entry : plan.entries) {
    for (int64_t p = entry.first_token; p < entry.first_token + entry.num_tokens; ++p) {
      uint64_t& writer = writer_[Slot(entry, p)];
      Expect(writer != static_cast<uint64_t>(step_), "two sequences write one slot");
      writer = static_cast<uint64_t>(step_);
    }
  }
}

void Simulation::Compute(const PlanEntry& entry) {
  Client& client = clients_.at(entry.id);
  for (int64_t p = 0; p < entry.first_token; ++p) {
    const size_t slot = Slot(entry, p);
    Expect(cache_[slot] == client.values[p], "sequence {} reads a wrong value at {}",
           entry.id.value(), p);
    Expect(writer_[slot] != static_cast<uint64_t>(step_), "slot read is written in this step");
  }
  const int64_t end = entry.first_token + entry.num_tokens - entry.num_drafts;
  uint64_t value = client.prompt_seed;
  if (entry.first_token > 0) value = cache_[Slot(entry, entry.first_token - 1)];
  for (int64_t p = entry.first_token; p < end; ++p) {
    value = Mix(value, TokenAt(client, p));
    cache_[Slot(entry, p)] = value;
  }
  client.running = true;
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
  std::erase_if(clients_, [](const auto& item) { return item.second.cancelled; });
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
    Expect(scheduler_->Contains(id), "sequence {} was lost", id.value());
  }
}

void Simulation::Drain() {
  scheduler_->StartDraining();
  const Status status = scheduler_->Add({SequenceId(next_id_), 1, 1});
  Expect(status.code() == StatusCode::kUnavailable, "Add while draining: {}", status.ToString());
  int64_t bound = 8;
  for (const auto& [id, client] : clients_) {
    bound += 2 * (client.num_prompt_tokens + client.max_new_tokens);
  }
  for (int64_t i = 0; i < bound && !clients_.empty() && error_.empty(); ++i) Step();
  Expect(clients_.empty(), "{} sequences left after {} steps of draining", clients_.size(), bound);
  Expect(scheduler_->idle(), "not idle after draining");
  Expect(scheduler_->blocks().num_free() == options_.num_blocks, "{} of {} blocks free at the end",
         scheduler_->blocks().num_free(), options_.num_blocks);
}

}  // namespace dray::scheduler
