// The rules that the simulation checks in every plan.
#include <algorithm>

#include "scheduler/testing/simulation.h"

namespace dray::scheduler {

int64_t Simulation::NumProposed(SequenceId id) const {
  for (const DraftProposal& proposal : proposals_) {
    if (proposal.id == id) return proposal.num_drafts;
  }
  return 0;
}

void Simulation::CheckPlan(const Plan& plan) {
  Expect(static_cast<int64_t>(plan.entries.size()) <= options_.max_sequences,
         "{} sequences in a step", plan.entries.size());
  int64_t num_tokens = 0;
  const Client* previous = nullptr;
  const Order* last_admitted = nullptr;
  for (const PlanEntry& entry : plan.entries) {
    ++num_events_;
    num_tokens += entry.num_tokens;
    const auto it = clients_.find(entry.id);
    Expect(it != clients_.end() && !it->second.cancelled, "sequence {} in the plan is unknown",
           entry.id.value());
    if (!error_.empty()) return;
    Client& client = it->second;
    CheckEntry(client, entry);
    if (!client.running && !client.in_flight()) {
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

void Simulation::CheckEntry(Client& client, const PlanEntry& entry) {
  const uint64_t id = entry.id.value();
  const bool fresh_fork = client.is_fork && !client.running && !client.in_flight();
  const int64_t num_planned = client.in_flight() ? client.num_planned : client.num_computed;
  if (fresh_fork && entry.first_token > 0) {
    Expect(entry.first_token <= client.num_prompt_tokens, "fork {} skips to {}", id,
           entry.first_token);
  } else {
    Expect(entry.first_token == num_planned, "sequence {} goes from {} to {}", id, num_planned,
           entry.first_token);
  }
  const int64_t num_known = entry.num_tokens - entry.num_drafts;
  const int64_t end = entry.first_token + num_known;
  Expect(num_known >= 1 && end <= client.num_known(), "sequence {} computes to {} of {}", id, end,
         client.num_known());
  // A whole prompt may be longer than a piece.
  const bool begins_whole = options_.whole_prompts && entry.first_token == 0;
  const int64_t least = begins_whole ? client.num_prompt_tokens : 1;
  Expect(num_known >= least && num_known <= std::max(options_.max_prefill_chunk_tokens, least),
         "a piece of {} tokens", num_known);
  CheckDrafts(client, entry);
  Expect((entry.sampling == Sampling::kYes) == (end == client.num_known()),
         "sequence {} samples at {} of {}", id, end, client.num_known());
  Expect(static_cast<int64_t>(entry.block_table.size()) * options_.block_size >=
             end + entry.num_drafts,
         "sequence {} has {} blocks for {} tokens", id, entry.block_table.size(), end);
}

void Simulation::CheckDrafts(const Client& client, const PlanEntry& entry) {
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

void Simulation::CheckFairness(const Plan& plan, const Order* last_admitted) {
  std::vector<SequenceId>& planned = planned_;
  planned.clear();
  for (const PlanEntry& entry : plan.entries) planned.push_back(entry.id);
  std::sort(planned.begin(), planned.end());
  const Client* first = nullptr;
  for (const auto& [id, client] : clients_) {
    const bool in_plan = std::binary_search(planned.begin(), planned.end(), id);
    if ((client.running || client.in_flight()) && !client.cancelled &&
        (first == nullptr || client.order < first->order)) {
      first = &client;
    }
    if (in_plan || client.in_flight()) continue;
    if (!client.running && last_admitted != nullptr && !client.is_fork) {
      Expect(*last_admitted < client.order, "sequence {} was passed", id.value());
    }
    if (client.running && client.num_known() - client.num_computed == 1) {
      Expect(client.num_computed % options_.block_size == 0, "decode {} stalls", id.value());
    }
  }
  Expect(first == nullptr || std::binary_search(planned.begin(), planned.end(), first->id) ||
             MayStandStill(*first),
         "the first in line stands still");
}

bool Simulation::MayStandStill(const Client& first) const {
  if (first.in_flight()) return true;
  const Client* last = &first;
  for (const auto& [id, client] : clients_) {
    if (client.cancelled && client.in_flight()) return true;  // it may hold the blocks
    if ((client.running || client.in_flight()) && last->order < client.order) last = &client;
  }
  return last->in_flight();
}

void Simulation::CheckBlocksInFlight(const Plan& plan) {
  for (const PlanEntry& entry : plan.entries) {
    const int64_t first = entry.first_token / options_.block_size;
    const int64_t last = (entry.first_token + entry.num_tokens - 1) / options_.block_size;
    const auto written = entry.block_table.subspan(first, last - first + 1);
    for (const StepInFlight& step : in_flight_) {
      for (const PlanEntry& other : step.plan->entries) {
        if (other.id == entry.id) continue;
        const bool meet =
            std::find_first_of(other.block_table.begin(), other.block_table.end(), written.begin(),
                               written.end()) != other.block_table.end();
        Expect(!meet, "{} writes a block that {} has in flight", entry.id.value(),
               other.id.value());
      }
    }
  }
}

}  // namespace dray::scheduler
