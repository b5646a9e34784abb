// A deterministic simulator of the scheduler: from one seed come the options, the arrivals, forks,
// cancels and lost caches; a fake model computes on a fake paged cache, and after every step the
// rules are checked.
//
// The fake model. The value at a position is a hash of all tokens up to it, made from the value
// that the cache holds for the position before; a new token is a hash of the last value and the
// sample's seed. Each entry reads every slot it depends on. So a wrong block, a missed copy, a slot
// overwritten or not computed gives a wrong value, and every sequence must produce, value by value,
// what it would alone.
//
// Guesses. At random steps some clients propose a few tokens, of which the first ones are right and
// the next, if any, is wrong: wrong values get into the cache, where nobody may ever read them.
//
// DRAY_SIM_SEEDS sets the number of seeds, DRAY_SIM_FIRST_SEED the first. A failure
// prints its seed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/parse/parse_number.h"
#include "scheduler/scheduler.h"
#include "scheduler/testing/simulation_support.h"

namespace dray::scheduler {
namespace {

constexpr uint64_t kPoison = 0xDEADDEADDEADDEADu;

class Simulation {
 public:
  explicit Simulation(uint64_t seed) : random_(Mix(seed, 1)) {
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

  // Runs to the end. Returns what rule was broken, or "".
  std::string Run() {
    const int64_t num_steps = random_.Between(50, 500);
    for (int64_t i = 0; i < num_steps && error_.empty(); ++i) {
      ActAtRandom();
      Step();
    }
    Drain();
    return error_;
  }

  int64_t num_events() const { return num_events_; }
  int64_t num_preemptions() const { return scheduler_->num_preemptions(); }
  int64_t num_copies() const { return num_copies_; }
  int64_t num_accepted() const { return num_accepted_; }
  int64_t num_rejected() const { return num_rejected_; }

 private:
  int64_t capacity() const { return int64_t{options_.num_blocks} * options_.block_size; }

  template <typename... Args>
  void Expect(bool condition, fmt::format_string<Args...> format, Args&&... args) {
    if (condition || !error_.empty()) return;
    error_ = fmt::format("step {}: {}", step_, fmt::format(format, std::forward<Args>(args)...));
  }

  void ActAtRandom() {
    if (random_.OneIn(arrival_interval_)) Arrive();
    if (random_.OneIn(6)) ForkSome();
    if (random_.OneIn(20)) CancelSome();
    if (random_.OneIn(200)) LoseCache();
  }

  void Arrive() {
    ++num_events_;
    Client client;
    client.id = SequenceId(next_id_++);
    client.order = {client.id.value(), client.id.value()};
    client.prompt_seed = random_.Next();
    client.sample_seed = random_.Next();
    client.num_prompt_tokens =
        random_.Between(1, random_.OneIn(3) ? capacity() : capacity() / 4 + 1);
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

  Client* PickClient() {
    if (clients_.empty()) return nullptr;
    auto it = clients_.begin();
    std::advance(it, random_.Between(0, static_cast<int64_t>(clients_.size()) - 1));
    return &it->second;
  }

  void ForkSome() {
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

  void CancelSome() {
    Client* client = PickClient();
    if (client == nullptr) return;
    ++num_events_;
    const bool known = scheduler_->Cancel(client->id);
    Expect(known, "Cancel does not know sequence {}", client->id.value());
    Expect(!scheduler_->Contains(client->id), "sequence {} outlives Cancel", client->id.value());
    clients_.erase(client->id);
  }

  void LoseCache() {
    ++num_events_;
    scheduler_->PreemptAll();
    std::fill(cache_.begin(), cache_.end(), kPoison);
    for (auto& [id, client] : clients_) Stop(client);
  }

  void Stop(Client& client) {
    client.running = false;
    client.num_computed = 0;
  }

  void Step() {
    ++step_;
    Propose();
    const Plan& plan = scheduler_->Schedule(proposals_);
    Expect(plan.empty() == clients_.empty(), "plan has {} entries for {} sequences",
           plan.entries.size(), clients_.size());
    if (plan.empty() || !error_.empty()) return;
    for (const SequenceId id : plan.preempted) {
      const auto it = clients_.find(id);
      Expect(it != clients_.end() && it->second.running, "{} preempted but not running",
             id.value());
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

  // More than fits at times, and for sequences that are not at their last token or not there.
  void Propose() {
    proposals_.clear();
    if (!random_.OneIn(2)) return;
    for (const auto& [id, client] : clients_) {
      if (random_.OneIn(3)) proposals_.push_back({id, random_.Between(0, 8)});
    }
    if (random_.OneIn(10)) proposals_.push_back({SequenceId(next_id_), 1});
  }

  int64_t NumProposed(SequenceId id) const {
    for (const DraftProposal& proposal : proposals_) {
      if (proposal.id == id) return proposal.num_drafts;
    }
    return 0;
  }

  // Limits, order, and progress of the first in line.
  void CheckPlan(const Plan& plan) {
    Expect(static_cast<int64_t>(plan.entries.size()) <= options_.max_sequences,
           "{} sequences in a step", plan.entries.size());
    int64_t num_tokens = 0;
    const Client* previous = nullptr;
    const Order* last_admitted = nullptr;
    for (const PlanEntry& entry : plan.entries) {
      ++num_events_;
      num_tokens += entry.num_tokens;
      const auto it = clients_.find(entry.id);
      Expect(it != clients_.end(), "unknown sequence {} in the plan", entry.id.value());
      if (!error_.empty()) return;
      Client& client = it->second;
      CheckEntry(client, entry);
      if (!client.running) {
        Expect(last_admitted == nullptr || *last_admitted < client.order, "{} passed another",
               client.id.value());
        last_admitted = &client.order;
      }
      previous = &client;
    }
    Expect(previous != nullptr && num_tokens == plan.num_tokens, "wrong sum of tokens");
    Expect(num_tokens <= options_.max_batch_tokens, "{} tokens in a step", num_tokens);
    CheckFairness(plan, last_admitted);
  }

  void CheckEntry(Client& client, const PlanEntry& entry) {
    const uint64_t id = entry.id.value();
    const bool fresh_fork = client.is_fork && !client.running;
    if (fresh_fork && entry.first_token > 0) {
      Expect(entry.first_token <= client.num_prompt_tokens, "fork {} skips to {}", id,
             entry.first_token);
    } else {
      Expect(entry.first_token == client.num_computed, "sequence {} goes from {} to {}", id,
             client.num_computed, entry.first_token);
    }
    const int64_t num_known = entry.num_tokens - entry.num_drafts;
    const int64_t end = entry.first_token + num_known;
    Expect(num_known >= 1 && end <= client.num_known(), "sequence {} computes to {} of {}", id, end,
           client.num_known());
    Expect(num_known <= options_.max_prefill_chunk_tokens, "chunk of {}", num_known);
    CheckDrafts(client, entry);
    Expect((entry.sampling == Sampling::kYes) == (end == client.num_known()),
           "sequence {} samples at {} of {}", id, end, client.num_known());
    Expect(static_cast<int64_t>(entry.block_table.size()) * options_.block_size >=
               end + entry.num_drafts,
           "sequence {} has {} blocks for {} tokens", id, entry.block_table.size(), end);
  }

  void CheckDrafts(const Client& client, const PlanEntry& entry) {
    const uint64_t id = entry.id.value();
    Expect(entry.num_drafts >= 0 && entry.num_drafts <= std::max<int64_t>(0, NumProposed(entry.id)),
           "sequence {} gets {} drafts", id, entry.num_drafts);
    if (entry.num_drafts == 0) return;
    Expect(entry.num_tokens == 1 + entry.num_drafts && entry.sampling == Sampling::kYes,
           "drafts for {}, which is catching up", id);
    Expect(client.num_generated() + entry.num_drafts < client.max_new_tokens,
           "{} drafts for {}, which has {} of {} tokens", entry.num_drafts, id,
           client.num_generated(), client.max_new_tokens);
  }

  // The first running sequence moves on in every step; nobody is admitted past one that could have
  // been; a decode stands still only for want of a block.
  void CheckFairness(const Plan& plan, const Order* last_admitted) {
    std::vector<SequenceId>& planned = planned_;
    planned.clear();
    for (const PlanEntry& entry : plan.entries) planned.push_back(entry.id);
    std::sort(planned.begin(), planned.end());
    const Client* first = nullptr;
    for (const auto& [id, client] : clients_) {
      const bool in_plan = std::binary_search(planned.begin(), planned.end(), id);
      if (client.running && (first == nullptr || client.order < first->order)) first = &client;
      if (in_plan) continue;
      if (!client.running && last_admitted != nullptr && !client.is_fork) {
        Expect(*last_admitted < client.order, "sequence {} was passed", id.value());
      }
      if (client.running && client.num_known() - client.num_computed == 1) {
        Expect(client.num_computed % options_.block_size == 0, "decode {} stalls", id.value());
      }
    }
    Expect(first == nullptr || std::binary_search(planned.begin(), planned.end(), first->id),
           "the first in line stands still");
  }

  // Whatever a block held when it was freed must not matter.
  void PoisonFreeBlocks() {
    for (int32_t b = 0; b < options_.num_blocks; ++b) {
      if (scheduler_->blocks().num_holders(BlockId(b)) > 0) continue;
      const auto begin = cache_.begin() + int64_t{b} * options_.block_size;
      std::fill(begin, begin + options_.block_size, kPoison);
    }
  }

  void CopyBlock(const BlockCopy& copy) {
    ++num_copies_;
    const auto from = cache_.begin() + int64_t{copy.from.value()} * options_.block_size;
    std::copy(from, from + options_.block_size,
              cache_.begin() + int64_t{copy.to.value()} * options_.block_size);
  }

  size_t Slot(const PlanEntry& entry, int64_t position) const {
    return static_cast<size_t>(int64_t{entry.block_table[position / options_.block_size].value()} *
                                   options_.block_size +
                               position % options_.block_size);
  }

  // No slot may be written by two entries of a step.
  void MarkWrites(const Plan& plan) {
    for (const PlanEntry& entry : plan.entries) {
      for (int64_t p = entry.first_token; p < entry.first_token + entry.num_tokens; ++p) {
        uint64_t& writer = writer_[Slot(entry, p)];
        Expect(writer != static_cast<uint64_t>(step_), "two sequences write one slot");
        writer = static_cast<uint64_t>(step_);
      }
    }
  }

  void Compute(const PlanEntry& entry) {
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

  // Returns how many guesses, from the first on, are what the client would have sampled.
  int64_t ComputeDrafts(const Client& client, const PlanEntry& entry) {
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

  // The input token of a position: the prompt's are their own position, the others
  // were sampled before.
  uint64_t TokenAt(const Client& client, int64_t position) const {
    if (position < client.num_prompt_tokens) return static_cast<uint64_t>(position);
    return client.Sample(client.values[position - 1]);
  }

  // One new token after the accepted ones, at times a few more, which are still to be computed.
  void SampleTokens(Client& client, uint64_t value, int64_t num_accepted) {
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

  void CancelInFlight(const Plan& plan) {
    ++num_events_;
    const int64_t last = static_cast<int64_t>(plan.entries.size()) - 1;
    Client& client = clients_.at(plan.entries[random_.Between(0, last)].id);
    Expect(scheduler_->Cancel(client.id), "Cancel does not know a sequence in flight");
    client.cancelled = true;
  }

  void EraseCancelled() {
    std::erase_if(clients_, [](const auto& item) { return item.second.cancelled; });
  }

  // Each sequence that should end does, once, and no other.
  void Finish() {
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

  // Every step moves the first in line by a token, so the steps are bounded by the tokens left,
  // twice over because a fork may wait for a later arrival to end.
  void Drain() {
    scheduler_->StartDraining();
    const Status status = scheduler_->Add({SequenceId(next_id_), 1, 1});
    Expect(status.code() == StatusCode::kUnavailable, "Add while draining: {}", status.ToString());
    int64_t bound = 8;
    for (const auto& [id, client] : clients_) {
      bound += 2 * (client.num_prompt_tokens + client.max_new_tokens);
    }
    for (int64_t i = 0; i < bound && !clients_.empty() && error_.empty(); ++i) Step();
    Expect(clients_.empty(), "{} sequences left after {} steps of draining", clients_.size(),
           bound);
    Expect(scheduler_->idle(), "not idle after draining");
    Expect(scheduler_->blocks().num_free() == options_.num_blocks,
           "{} of {} blocks free at the end", scheduler_->blocks().num_free(), options_.num_blocks);
  }

  Random random_;
  SchedulerOptions options_;
  int64_t arrival_interval_ = 1;
  std::optional<Scheduler> scheduler_;
  std::map<SequenceId, Client> clients_;
  std::vector<uint64_t> cache_;   // by slot
  std::vector<uint64_t> writer_;  // by slot: the last step that wrote it
  std::vector<DraftProposal> proposals_;
  std::vector<SequenceResult> results_;
  std::vector<SequenceId> planned_;
  uint64_t next_id_ = 1;
  int64_t step_ = 0;
  int64_t num_events_ = 0;
  int64_t num_copies_ = 0;
  int64_t num_accepted_ = 0;
  int64_t num_rejected_ = 0;
  std::string error_;
};

uint64_t FromEnvironment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  if (text == nullptr) return fallback;
  return ParseUint64(text).value_or(fallback);
}

TEST(SimulationTest, RulesHoldInEveryStep) {
  const uint64_t num_seeds = FromEnvironment("DRAY_SIM_SEEDS", 1000);
  const uint64_t first = FromEnvironment("DRAY_SIM_FIRST_SEED", 1);
  int64_t num_events = 0;
  int64_t num_preemptions = 0;
  int64_t num_copies = 0;
  int64_t num_accepted = 0;
  int64_t num_rejected = 0;
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t seed = first; seed < first + num_seeds; ++seed) {
    Simulation simulation(seed);
    const std::string error = simulation.Run();
    ASSERT_EQ(error, "") << "DRAY_SIM_FIRST_SEED=" << seed << " DRAY_SIM_SEEDS=1 runs it again";
    num_events += simulation.num_events();
    num_preemptions += simulation.num_preemptions();
    num_copies += simulation.num_copies();
    num_accepted += simulation.num_accepted();
    num_rejected += simulation.num_rejected();
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  fmt::print(
      "{} seeds, {} events, {} preemptions, {} block copies, {} guesses accepted, {} refused, "
      "{:.2f} million events/s\n",
      num_seeds, num_events, num_preemptions, num_copies, num_accepted, num_rejected,
      static_cast<double>(num_events) / seconds.count() / 1e6);
  // The simulator must reach what it is to check.
  if (num_seeds >= 100) {
    EXPECT_GT(num_preemptions, static_cast<int64_t>(num_seeds));
    EXPECT_GT(num_copies, static_cast<int64_t>(num_seeds) / 4);
    EXPECT_GT(num_accepted, static_cast<int64_t>(num_seeds));
    EXPECT_GT(num_rejected, static_cast<int64_t>(num_seeds));
  }
}

}  // namespace
}  // namespace dray::scheduler
