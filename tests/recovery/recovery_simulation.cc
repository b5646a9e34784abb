#include "recovery/recovery_simulation.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/status.h"
#include "testing/oracle_drafter.h"

namespace dray::testing {

void RecoveryCounts::Add(const RecoveryCounts& other) {
  requests += other.requests;
  tokens += other.tokens;
  cancelled += other.cancelled;
  deadly += other.deadly;
  restarts += other.restarts;
  failed_restarts += other.failed_restarts;
  preemptions += other.preemptions;
  accepted += other.accepted;
  reordered += other.reordered;
  stale += other.stale;
  for (size_t i = 0; i < faults.size(); ++i) faults[i] += other.faults[i];
}

RecoverySimulation::RecoverySimulation(uint64_t seed)
    : random_(scheduler::Mix(seed, 0x4EC0)), network_(random_) {
  shape_ = {.num_stages = random_.Between(1, 3), .ranks_in_stage = random_.Between(1, 3)};
  arrival_interval_ = random_.Between(2, 12);
  // A step takes so many chances for a fault at least.
  fault_rate_ = shape_.num_ranks() * random_.Between(10, 60);
  network_.SetRate(fault_rate_);
  MakeModel();
}

void RecoverySimulation::MakeModel() {
  model::ModelConfig& config = model_.description.config;
  config.vocab_size = SimulatedModel::kVocabSize;
  config.eos_token_ids = {SimulatedModel::kEndToken};
  // As small as a block of the cache can be: its bytes are counted, but never made.
  config.stack.num_layers = config.stack.num_heads = config.stack.num_kv_heads = 1;
  config.stack.head_dim = 1;
  config.stack.max_positions = 128;
  model_.ranks.push_back({.backend = nullptr,
                          .rank = {},
                          .stage = {},
                          .stack = config.stack,
                          .weights = model::Weights(config.stack.num_layers)});
  model_.num_stages = shape_.num_stages;
}

Status RecoverySimulation::MakeCore() {
  engine::EngineOptions options;
  options.block_size = 16;
  options.pipeline_costs = engine::EngineOptions::PipelineCosts::kFixed;
  options.kv_dtype = DType::kF32;
  options.max_sequences = random_.Between(1, 6);
  options.max_batch_tokens = options.max_sequences + random_.Between(0, 40);
  options.max_prefill_chunk_tokens = random_.Between(1, 24);
  const int64_t block_bytes =
      model_.BlockBytes({.num_blocks = 1, .block_size = 16, .dtype = DType::kF32});
  options.kv_cache_bytes = block_bytes * random_.Between(4, 16);
  options.max_restarts_per_hour = int64_t{1} << 40;
  options.speculation.costs = engine::SpeculationOptions::Costs::kFixed;
  std::unique_ptr<OracleDrafter> drafter;
  if (random_.OneIn(2)) {
    drafter = std::make_unique<OracleDrafter>(0.7, SimulatedModel::kVocabSize - 1);
    drafter_ = drafter.get();
  }
  DRAY_ASSIGN_OR_RETURN(
      core_, engine::EngineCore::Make(model_, options, std::move(drafter),
                                      [this](engine::LoadedModel&, const engine::RunnerSpec& spec) {
                                        return MakeGroup(spec);
                                      }));
  return OkStatus();
}

Result<std::unique_ptr<engine::ModelRunner>> RecoverySimulation::MakeGroup(
    const engine::RunnerSpec& spec) {
  // The first group is made without a fault.
  if (num_groups_ > 0 && num_fruitless_ < 2 && random_.OneIn(8)) {
    ++num_fruitless_;
    ++counts_.failed_restarts;
    return Status(StatusCode::kUnavailable, "a rank does not start");
  }
  return std::unique_ptr<engine::ModelRunner>(std::make_unique<SimulatedGroup>(
      SimulatedGroup::Setup{.model = shape_, .spec = spec, .group = ++num_groups_}, network_,
      random_));
}

std::string RecoverySimulation::Run() {
  const Status made = MakeCore();
  Expect(made.ok(), "{}", made.ToString());
  const int64_t num_rounds = random_.Between(100, 400);
  for (round_ = 0; round_ < num_rounds && error_.empty(); ++round_) {
    ActAtRandom();
    Step();
  }
  // Faults go on until the last answer: what is there must end in spite of them.
  constexpr int64_t kMostRounds = 100'000;
  for (; round_ < kMostRounds && !clients_.empty() && error_.empty(); ++round_) Step();
  Expect(clients_.empty(), "{} requests never end", clients_.size());
  if (!error_.empty()) return error_;
  while (core_->restarting()) GoOnWithRestart();
  while (core_->Step()) {
  }
  const engine::EngineStats stats = core_->stats();
  Expect(stats.free_blocks == stats.total_blocks, "{} of {} blocks are free at the end",
         stats.free_blocks, stats.total_blocks);
  return error_;
}

RecoveryCounts RecoverySimulation::counts() const {
  RecoveryCounts counts = counts_;
  const engine::EngineStats stats = core_->stats();
  counts.tokens = static_cast<int64_t>(stats.generated_tokens);
  counts.restarts = static_cast<int64_t>(stats.restarts);
  counts.preemptions = static_cast<int64_t>(stats.preemptions);
  counts.accepted = static_cast<int64_t>(stats.accepted_tokens);
  counts.reordered = network_.num_reordered();
  counts.stale = network_.num_stale();
  counts.faults = network_.num_faults();
  return counts;
}

void RecoverySimulation::ActAtRandom() {
  if (random_.OneIn(arrival_interval_)) Arrive();
  if (random_.OneIn(25)) CancelSome();
}

void RecoverySimulation::Arrive() {
  engine::GenerateRequest request = RandomRequest(random_, core_->limits().max_context_tokens);
  const ExpectedAnswer expected = testing::Expect(shape_, request);
  Client client;
  client.sink =
      std::make_shared<CheckingSink>(expected, request.params.prompt_logprobs.has_value());
  client.deadly = !has_deadly_ && random_.OneIn(10);
  if (client.deadly) {
    has_deadly_ = true;
    const int64_t last = static_cast<int64_t>(request.prompt.size()) - 1;
    request.prompt[static_cast<size_t>(random_.Between(0, last))] = SimulatedModel::kDeadlyToken;
  } else if (drafter_ != nullptr) {
    for (size_t i = 0; i < expected.samples.size(); ++i) {
      std::vector<int32_t> tokens;
      for (const engine::TokenEvent& token : expected.samples[i].tokens) {
        tokens.push_back(token.token.id);
      }
      drafter_->Expect(request.prompt, static_cast<int>(i), std::move(tokens));
    }
  }
  ++counts_.requests;
  const Status valid = core_->Validate(request);
  Expect(valid.ok(), "{}", valid.ToString());
  const uint64_t id = ++last_id_;
  const auto sink = client.sink;
  clients_.emplace(id, std::move(client));
  core_->Add(RequestId(id), std::move(request), sink);
}

void RecoverySimulation::CancelSome() {
  if (clients_.empty()) return;
  auto it = clients_.begin();
  std::advance(it, random_.Between(0, static_cast<int64_t>(clients_.size()) - 1));
  it->second.cancelled = true;
  ++counts_.cancelled;
  core_->End(RequestId(it->first), {StatusCode::kCancelled, "the client has left"});
  Expect(it->second.sink->over(), "request {} outlives its cancellation", it->first);
  LookAtClients();
}

void RecoverySimulation::Step() {
  PauseFaults();
  if (core_->restarting()) {
    GoOnWithRestart();
  } else {
    core_->Step();
    LookAtClients();
    if (core_->restarting()) {
      ++num_fruitless_;
      for (auto& [id, client] : clients_) client.num_failures += client.sink->started() ? 1 : 0;
    }
  }
  LookAtClients();
  const Status status = core_->CheckIntegrity();
  Expect(status.ok(), "{}", status.ToString());
  Expect(core_->health().ok(), "{}", core_->health().ToString());
}

void RecoverySimulation::GoOnWithRestart() {
  if (!restart_) {
    restart_ = core_->TakeRestart();
    Expect(restart_.has_value(), "there is no restart");
    rounds_of_restart_ = random_.Between(0, 6);
  }
  if (!restart_ || rounds_of_restart_-- > 0) return;
  Expect(!core_->TakeRestart(), "there are two restarts");
  auto made = restart_->Run();
  restart_.reset();
  core_->FinishRestart(std::move(made));
}

void RecoverySimulation::LookAtClients() {
  for (auto it = clients_.begin(); it != clients_.end();) {
    Client& client = it->second;
    const int64_t num_tokens = client.sink->num_tokens();
    if (num_tokens > client.num_tokens) num_fruitless_ = client.num_failures = 0;
    client.num_tokens = num_tokens;
    Expect(client.sink->error().empty(), "request {}: {}", it->first, client.sink->error());
    if (client.sink->over()) {
      CheckEnd(it->first, client);
      it = clients_.erase(it);
    } else {
      ++it;
    }
  }
}

void RecoverySimulation::CheckEnd(uint64_t id, const Client& client) {
  const Status& status = client.sink->status();
  if (client.deadly) has_deadly_ = false;
  if (client.cancelled) {
    Expect(status.code() == StatusCode::kCancelled, "request {} was cancelled: {}", id,
           status.ToString());
  } else if (client.deadly) {
    ++counts_.deadly;
    num_fruitless_ = 0;
    Expect(status.code() == StatusCode::kInternal &&
               status.message().find("do not send it again") != std::string::npos,
           "request {} ends ranks: {}", id, status.ToString());
  } else {
    Expect(status.ok(), "request {} was lost: {}", id, status.ToString());
  }
}

void RecoverySimulation::PauseFaults() {
  const bool suspects = std::any_of(clients_.begin(), clients_.end(), [](const auto& item) {
    return !item.second.deadly && item.second.num_failures >= engine::Suspects::kFailuresToEnd - 1;
  });
  network_.SetFaults(!suspects && num_fruitless_ < 5);
}

}  // namespace dray::testing
