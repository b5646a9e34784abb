// The runner of one rank: its pieces, its block copies, and what it says of a backend's errors.
#include "engine/runner/local_runner.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/make_backend.h"
#include "testing/engine_support.h"

namespace dray::engine {
namespace {

constexpr int64_t kBlockSize = 16;

// Computes by another backend, and ends steps with an error on demand.
class FailingBackend final : public kernels::Backend {
 public:
  explicit FailingBackend(std::unique_ptr<kernels::Backend> inner) : inner_(std::move(inner)) {}

  kernels::Memory& memory() override { return inner_->memory(); }
  kernels::Packer& packer() override { return inner_->packer(); }
  kernels::Ops& ops() override { return inner_->ops(); }
  void BeginStep(int64_t num_tokens) override { inner_->BeginStep(num_tokens); }
  Status EndStep() override {
    const Status status = inner_->EndStep();
    return status.ok() ? std::exchange(next_error, OkStatus()) : status;
  }
  void AdoptThread() override { inner_->AdoptThread(); }
  std::string Describe() const override { return inner_->Describe(); }
  std::string_view isa() const override { return inner_->isa(); }

  Status next_error;

 private:
  std::unique_ptr<kernels::Backend> inner_;
};

class LocalRunnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    golden_ = testing::ReadGoldenModel("llama-gqa");
    auto cpu = kernels::MakeBackend({.cpu = {.num_threads = 1}});
    ASSERT_TRUE(cpu.ok());
    backend_ = std::make_shared<FailingBackend>(std::move(*cpu));
    auto model = LoadModel(
        {.model_dir = golden_.dir, .format = kernels::WeightFormat::kF32, .backends = {backend_}});
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    model_ = std::move(*model);
    Start(64);
  }

  void Start(int64_t max_logit_rows) {
    auto runner =
        MakeLocalRunner(*model_, backend_,
                        {.cache = {.num_blocks = 8, .block_size = kBlockSize, .dtype = DType::kF32},
                         .step = {.max_batch_tokens = 64,
                                  .max_sequences = 2,
                                  .max_logit_rows = max_logit_rows,
                                  .max_table_entries = 8}});
    ASSERT_TRUE(runner.ok()) << runner.status().ToString();
    runner_ = std::move(*runner);
  }

  // A step over positions [first, end) of the prompt in these blocks, with all their logits.
  RunnerStep StepOver(int64_t first, int64_t end, const std::vector<BlockId>& blocks) const {
    RunnerStep step;
    const auto length = static_cast<int64_t>(Prompt().size());
    step.AppendRows({.first_position = first,
                     .num_rows = end - first,
                     .num_prompt_tokens = length,
                     .known = Prompt(),
                     .block_table = blocks},
                    kBlockSize);
    for (int64_t i = 0; i < end - first; ++i) step.logit_rows.push_back(static_cast<int32_t>(i));
    return step;
  }

  // Runs a step; returns its logits, and the numbers of rows of its pieces in `pieces`.
  std::vector<float> Run(const RunnerStep& step, std::vector<int64_t>* pieces = nullptr) {
    runner_->Submit(step);
    std::vector<float> logits;
    for (StepPiece piece; !piece.is_last;) {
      piece = runner_->Collect();
      EXPECT_TRUE(piece.status.ok()) << piece.status.ToString();
      EXPECT_GE(piece.seconds, 0);
      logits.insert(logits.end(), piece.logits.begin(), piece.logits.end());
      if (pieces != nullptr) pieces->push_back(piece.num_rows);
    }
    return logits;
  }

  const std::vector<int32_t>& Prompt() const {
    for (const auto& prompt : golden_.prompts) {
      if (prompt.ids.size() == 33) return prompt.ids;
    }
    ADD_FAILURE() << "no golden prompt of 33 tokens";
    return golden_.prompts[0].ids;
  }

  testing::GoldenModel golden_;
  std::shared_ptr<FailingBackend> backend_;
  std::unique_ptr<LoadedModel> model_;
  std::unique_ptr<ModelRunner> runner_;
};

TEST_F(LocalRunnerTest, PiecesAreBoundedAndJoinToTheWhole) {
  const RunnerStep step = StepOver(0, 8, {BlockId(3)});
  std::vector<int64_t> pieces;
  const std::vector<float> whole = Run(step, &pieces);
  EXPECT_EQ(pieces, (std::vector<int64_t>{8}));
  Start(3);
  pieces.clear();
  EXPECT_EQ(Run(step, &pieces), whole);
  EXPECT_EQ(pieces, (std::vector<int64_t>{3, 3, 2}));
}

TEST_F(LocalRunnerTest, AStepWithoutWantedRowsHasOnePiece) {
  RunnerStep step = StepOver(0, 8, {BlockId(3)});
  step.logit_rows.clear();
  std::vector<int64_t> pieces;
  EXPECT_TRUE(Run(step, &pieces).empty());
  EXPECT_EQ(pieces, (std::vector<int64_t>{0}));
}

TEST_F(LocalRunnerTest, BlocksAreCopiedBeforeTheRowsAreComputed) {
  const std::vector<float> whole = Run(StepOver(0, 20, {BlockId(0), BlockId(1)}));
  RunnerStep step = StepOver(16, 20, {BlockId(5), BlockId(2)});
  step.AppendCopy(BlockId(0), BlockId(4));
  step.AppendCopy(BlockId(4), BlockId(5));
  const std::vector<float> behind = Run(step);
  EXPECT_TRUE(std::equal(behind.begin(), behind.end(),
                         whole.end() - static_cast<std::ptrdiff_t>(behind.size())));
  // A step may also have nothing but copies.
  step.Clear();
  EXPECT_TRUE(step.empty());
  step.AppendCopy(BlockId(5), BlockId(6));
  EXPECT_TRUE(Run(step).empty());
  EXPECT_EQ(Run(StepOver(16, 20, {BlockId(6), BlockId(2)})), behind);
}

TEST_F(LocalRunnerTest, AnAbandonedStepLeavesTheRunnerFree) {
  Start(3);
  const RunnerStep step = StepOver(0, 8, {BlockId(3)});
  const std::vector<float> whole = Run(step);
  runner_->Submit(step);
  runner_->Abandon();
  runner_->Submit(step);
  EXPECT_FALSE(runner_->Collect().is_last);
  runner_->Abandon();
  EXPECT_EQ(Run(step), whole);
}

TEST_F(LocalRunnerTest, TheBackendsErrorSaysHowMuchHasFailed) {
  const RunnerStep step = StepOver(0, 8, {BlockId(3)});
  const std::pair<StatusCode, FailureScope> cases[] = {
      {StatusCode::kResourceExhausted, FailureScope::kStep},
      {StatusCode::kUnsupported, FailureScope::kStep},
      {StatusCode::kInternal, FailureScope::kRunner},
  };
  for (const auto& [code, scope] : cases) {
    backend_->next_error = {code, "the device says no"};
    runner_->Submit(step);
    const StepPiece piece = runner_->Collect();
    EXPECT_EQ(piece.status.code(), code);
    EXPECT_EQ(piece.scope, scope);
    EXPECT_TRUE(piece.is_last);
    EXPECT_TRUE(piece.logits.empty());
    EXPECT_EQ(Run(step).size(), 8U * 283U);
  }
}

}  // namespace
}  // namespace dray::engine
