// The workers of a model whose ranks are processes, or an MPI job: each has a group of its own.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/machine/cpu_info.h"
#include "engine/partition.h"
#include "engine/testing/short_draft.h"
#include "serving/load/worker_factory.h"
#include "testing/engine_support.h"
#include "testing/rank_processes.h"

namespace dray::serving {
namespace {

namespace fs = std::filesystem;
using engine::ChildrenOf;
using engine::RankTransport;
using Processes = std::vector<pid_t>;

constexpr int64_t kFreeBytes = int64_t{1} << 30;

// Processes that have come since there were those of `before`: the ranks, or the mpirun of a job.
Processes NewSince(Processes before) {
  Processes now = ChildrenOf(::getpid()), fresh;
  std::sort(now.begin(), now.end());
  std::sort(before.begin(), before.end());
  std::set_difference(now.begin(), now.end(), before.begin(), before.end(),
                      std::back_inserter(fresh));
  return fresh;
}

class WorkerGroupsTest : public ::testing::TestWithParam<RankTransport> {
 protected:
  // Loads a model for `max_workers` workers, each of two ranks.
  void Load(const fs::path& folder, int64_t max_workers) {
    engine::LoadModelOptions options = engine::OptionsFor(golden_, {2, 1}, GetParam());
    options.model_dir = folder;
    options.backend_options.cpu.num_threads = 4;
    options.ranks.share.count = max_workers;
    WorkerFactory::Setup setup;
    setup.name = "tiny";
    setup.load = options;
    setup.model = engine::LoadRanks(options);
    ASSERT_NE(setup.model, nullptr);
    setup.options = {.max_sequences = 8, .kv_cache_bytes = 1 << 20, .block_size = 16};
    setup.budget.emplace(budget_);
    weight_bytes_ = setup.model->memory_bytes();
    auto weights = budget_.Take(WorkerFactory::GroupWeightBytes(*setup.model), 0, "the weights");
    ASSERT_TRUE(weights.ok());
    setup.weights = std::move(*weights);
    factory_ = std::make_unique<WorkerFactory>(std::move(setup));
  }

  WorkerParts Make(int64_t max_workers) {
    auto made = factory_->Make(max_workers, {});
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return made.ok() ? std::move(*made) : WorkerParts();
  }

  int64_t Taken() const { return kFreeBytes - budget_.available_bytes(); }

  using Sinks = std::vector<std::shared_ptr<engine::RecordingSink>>;
  Sinks Ask(engine::Engine& engine) const {
    Sinks sinks;
    for (const auto& prompt : golden_.prompts) {
      sinks.push_back(std::make_shared<engine::RecordingSink>());
      const auto length = static_cast<int64_t>(prompt.greedy.size());
      EXPECT_TRUE(engine.Submit(engine::MakeRequest(prompt.ids, length), sinks.back()).ok());
    }
    return sinks;
  }
  void ExpectGolden(const Sinks& sinks) const {
    for (size_t i = 0; i < sinks.size(); ++i) {
      EXPECT_TRUE(sinks[i]->WaitForEnd().ok());
      EXPECT_EQ(sinks[i]->Ids(), golden_.prompts[i].greedy);
    }
  }

  // What a signal ends without the others: a rank, or one of the ranks of a job.
  static pid_t OneRankOf(const Processes& group) {
    return GetParam() == RankTransport::kMpi ? ChildrenOf(group.front()).back() : group.back();
  }

  const testing::GoldenModel golden_ = testing::ReadGoldenModel("llama-gqa");
  MemoryBudget budget_{[] { return kFreeBytes; }};
  int64_t weight_bytes_ = 0;
  std::unique_ptr<WorkerFactory> factory_;
};

TEST_P(WorkerGroupsTest, EachWorkerHasAGroupAndLosesItAlone) {
  Load(golden_.dir, 2);
  const Processes none;
  const WorkerParts first = Make(2);
  const Processes of_first = NewSince(none);
  WorkerParts second = Make(2);
  const Processes of_second = NewSince(of_first);
  ASSERT_EQ(of_second.size(), of_first.size());
  for (int round = 0; round < 2; ++round) {
    const Sinks one = Ask(*first.engine), other = Ask(*second.engine);
    if (round == 1) ::kill(OneRankOf(of_second), SIGKILL);
    ExpectGolden(one);
    ExpectGolden(other);
  }
  while (second.engine->stats().restarts == 0 || second.engine->stats().restarting > 0) {
    ::usleep(1000);
  }
  EXPECT_EQ(first.engine->stats().restarts, 0U);
  for (const pid_t process : of_first) EXPECT_NE(testing::StateOf(process).letter, '-');
  ExpectGolden(Ask(*second.engine));
  // The processes of a worker end with it.
  second = {};
  EXPECT_EQ(NewSince(of_first), none);
  ExpectGolden(Ask(*first.engine));
}

TEST_P(WorkerGroupsTest, TheBudgetCountsTheWeightsOfEachGroup) {
  Load(golden_.dir, 2);
  EXPECT_EQ(Taken(), weight_bytes_);
  const auto with_cache = [&](const WorkerParts& worker) {
    return weight_bytes_ + worker.engine->limits().cache_bytes;
  };
  std::vector<WorkerParts> workers;
  int64_t expected = 0;
  for (int i = 0; i < 2; ++i) {
    workers.push_back(Make(2));
    expected += with_cache(workers.back());
    EXPECT_EQ(Taken(), expected);
  }
  // The first group's memory is free with its worker; the other one keeps its own.
  expected -= with_cache(workers.front());
  workers.erase(workers.begin());
  EXPECT_EQ(Taken(), expected);
  {
    const auto rest = budget_.Take(budget_.available_bytes() - weight_bytes_ / 2, 0, "another");
    ASSERT_TRUE(rest.ok());
    const Status refused = factory_->Make(2, {}).status();
    EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
    EXPECT_NE(refused.message().find("the ranks of a worker of model \"tiny\" needs"),
              std::string::npos)
        << refused.ToString();
  }
  workers.push_back(Make(2));
  EXPECT_EQ(Taken(), expected + with_cache(workers.back()));
  ExpectGolden(Ask(*workers.back().engine));
}

TEST_P(WorkerGroupsTest, GroupsShareTheWeightsOfAnArtifact) {
  std::string pattern = ::testing::TempDir() + "groups_XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const fs::path artifact = fs::path(pattern) / "artifact";
  engine::LoadModelOptions from = engine::OptionsFor(golden_, {1, 1}, RankTransport::kThreads);
  ASSERT_TRUE(engine::Partition({.load = from, .tokenizer = golden_.dir, .output = artifact}).ok());
  Load(artifact, 2);
  EXPECT_EQ(Taken(), 0);
  const WorkerParts first = Make(2), second = Make(2);
  EXPECT_EQ(Taken(), first.engine->limits().cache_bytes + second.engine->limits().cache_bytes);
  ExpectGolden(Ask(*first.engine));
  ExpectGolden(Ask(*second.engine));
  fs::remove_all(pattern);
}

// Also of threads: a pipeline of them has no backend that its draft model could share.
using DraftWorkersTest = WorkerGroupsTest;

// Each worker guesses with the draft model on a backend of its own.
TEST_P(DraftWorkersTest, ShareADraftModel) {
  engine::LoadModelOptions options = engine::OptionsFor(golden_, {1, 2}, GetParam());
  WorkerFactory::Setup setup;
  setup.name = "tiny";
  setup.load = options;
  setup.model = engine::LoadRanks(options);
  setup.draft = engine::LoadShortDraft(golden_);
  ASSERT_TRUE(setup.model != nullptr && setup.draft != nullptr);
  setup.options = {.max_sequences = 8,
                   .kv_cache_bytes = 1 << 20,
                   .block_size = 16,
                   .speculation = {.method = engine::SpeculationMethod::kDraftModel,
                                   .costs = engine::SpeculationOptions::Costs::kFixed}};
  WorkerFactory factory(std::move(setup));
  for (int i = 0; i < 2; ++i) {
    const auto worker = factory.Make(2, {});
    ASSERT_TRUE(worker.ok()) << worker.status().ToString();
    ExpectGolden(Ask(*worker->engine));
    EXPECT_GT(worker->engine->stats().drafted_tokens, 0U);
  }
}

TEST_P(WorkerGroupsTest, AGroupThatIsGivenUpLeavesNothing) {
  Load(golden_.dir, 2);
  const WorkerParts first = Make(2);
  const Processes of_first = NewSince({});
  const int64_t taken = Taken();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(factory_->Make(2, stop.get_token()).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(NewSince(of_first), Processes());
  EXPECT_EQ(Taken(), taken);
  ExpectGolden(Ask(*first.engine));
}

std::string TransportOf(const ::testing::TestParamInfo<RankTransport>& info) {
  return engine::NameOf(info.param);
}

constexpr RankTransport kGroups[] = {
    RankTransport::kProcesses,
#ifdef DRAY_MPIRUN
    RankTransport::kMpi,
#endif
};
INSTANTIATE_TEST_SUITE_P(Transports, WorkerGroupsTest, ::testing::ValuesIn(kGroups), TransportOf);
INSTANTIATE_TEST_SUITE_P(Groups, DraftWorkersTest, ::testing::ValuesIn(kGroups), TransportOf);
INSTANTIATE_TEST_SUITE_P(Threads, DraftWorkersTest, ::testing::Values(RankTransport::kThreads),
                         TransportOf);

TEST(WorkerSharesTest, WorkersMayHaveAProcessorEach) {
  if (UsableCpuCount() < 2) GTEST_SKIP() << "one processor";
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  engine::LoadModelOptions options = engine::OptionsFor(golden, {1, 1}, RankTransport::kProcesses);
  options.backend_options.cpu = {};
  options.ranks.share.count = 2;
  WorkerFactory::Setup setup;
  setup.load = options;
  setup.model = engine::LoadRanks(options);
  ASSERT_NE(setup.model, nullptr);
  setup.options = {.max_sequences = 2, .kv_cache_bytes = 1 << 20, .block_size = 16};
  WorkerFactory factory(std::move(setup));
  const auto first = factory.Make(2, {}), second = factory.Make(2, {});
  EXPECT_TRUE(first.ok() && second.ok()) << first.status().ToString() << second.status().ToString();
}

// Without oversubscription, the workers' ranks may not be more than the processors.
TEST(WorkerSharesTest, MoreRanksThanProcessorsAreRefusedWithTheNumberOfWorkersThatWouldDo) {
  const auto golden = testing::ReadGoldenModel("llama-gqa");
  engine::LoadModelOptions options = engine::OptionsFor(golden, {1, 1}, RankTransport::kProcesses);
  options.backend_options.cpu = {.num_threads = 1};
  options.ranks.share.count = 3;
  EXPECT_EQ(
      engine::LoadModel(options).status().message(),
      "each rank of 3 workers of 1 ranks needs a thread on a processor, but there are 1 of "
      "them: set maxWorkers to at most 1, or set oversubscribe to let ranks share processors");
}

}  // namespace
}  // namespace dray::serving
