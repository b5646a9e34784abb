// The engine of an encoder whose runner fails. With ranks that are threads, the requests of the pass end with the
// error, and those that come later are computed by new ranks. With ranks that can be begun anew, the requests of
// the pass are computed once more.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "encoders/encoder_run.h"
#include "engine/encoder/encoder_engine.h"
#include "engine/testing/test_runners.h"
#include "kernels/backend.h"

namespace dray::engine {
namespace {

// The backend that it wraps, with steps that can be made to fail.
class FailingBackend final : public kernels::Backend {
 public:
  explicit FailingBackend(std::shared_ptr<kernels::Backend> inner) : inner_(std::move(inner)) {}
  // The next `steps` steps fail.
  void Fail(int steps) { num_failures_ = steps; }

  kernels::Memory& memory() override { return inner_->memory(); }
  kernels::Packer& packer() override { return inner_->packer(); }
  kernels::Ops& ops() override { return inner_->ops(); }
  void BeginStep(int64_t num_tokens) override { inner_->BeginStep(num_tokens); }
  Status EndStep() override {
    DRAY_RETURN_IF_ERROR(inner_->EndStep());
    if (num_failures_ == 0) return OkStatus();
    --num_failures_;
    return {StatusCode::kInternal, "the device is gone"};
  }
  void AdoptThread() override { inner_->AdoptThread(); }
  ThreadPool* host_threads() override { return inner_->host_threads(); }
  std::string Describe() const override { return inner_->Describe(); }
  std::string_view isa() const override { return inner_->isa(); }

 private:
  const std::shared_ptr<kernels::Backend> inner_;
  std::atomic<int> num_failures_{0};
};

class EncoderFailureTest : public ::testing::Test {
 protected:
  // Starts an engine over two ranks, of one stage or of two, of which `rank` can fail.
  void Start(size_t rank, int64_t num_stages = 1) {
    golden_ = testing::ReadGoldenEncoder("bert");
    LoadModelOptions options;
    options.model_dir = golden_.dir;
    options.tensor_parallel_degree = 2 / num_stages;
    options.pipeline_parallel_degree = num_stages;
    options.backend_options.cpu.num_threads = 2;
    options.backend_options.cpu.oversubscribe = true;
    auto loaded = LoadModel(options);
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    std::shared_ptr<LoadedModel> model = std::move(*loaded);
    auto& backend = model->ranks[rank].backend;
    failing_ = std::make_shared<FailingBackend>(std::exchange(backend, nullptr));
    backend = failing_;
    auto engine = EncoderEngine::Start(std::move(model), SentenceConfig(), {});
    ASSERT_TRUE(engine.ok()) << engine.status().ToString();
    engine_ = std::move(*engine);
  }

  std::shared_ptr<EncodeAnswerSink> Encode() {
    auto sink = std::make_shared<EncodeAnswerSink>();
    EncodeRequest request;
    request.texts.push_back({golden_.texts[0].ids, golden_.texts[0].types});
    request.output = EncodeOutput::kStates;
    EXPECT_TRUE(engine_->Submit(std::move(request), sink).ok());
    return sink;
  }

  void ExpectRecovery() {
    const auto before = Encode();
    ASSERT_TRUE(before->Wait().ok());
    failing_->Fail(1);
    const auto failed = Encode();
    EXPECT_EQ(failed->Wait().code(), StatusCode::kInternal);
    const auto after = Encode();
    ASSERT_TRUE(after->Wait().ok());
    EXPECT_EQ(after->numbers(), before->numbers());
    EXPECT_TRUE(engine_->healthy());
  }

  testing::GoldenEncoder golden_;
  std::shared_ptr<FailingBackend> failing_;
  std::unique_ptr<EncoderEngine> engine_;
};

TEST_F(EncoderFailureTest, AFailureOfTheFirstRankEndsItsPassAlone) {
  Start(0);
  ASSERT_NO_FATAL_FAILURE(ExpectRecovery());
}

TEST_F(EncoderFailureTest, AFailureOfAnotherRankEndsItsPassAlone) {
  Start(1);
  ASSERT_NO_FATAL_FAILURE(ExpectRecovery());
}

TEST_F(EncoderFailureTest, AFailureOfAStageEndsItsPassAlone) {
  for (const size_t rank : {0, 1}) {
    Start(rank, 2);
    ASSERT_NO_FATAL_FAILURE(ExpectRecovery());
  }
}

// An engine over runners that lose their ranks at chosen steps. A pass has room for one of the texts.
class LostRunnerTest : public ::testing::Test {
 protected:
  // The steps of all runners are counted together.
  void Start(std::function<bool(int64_t step)> is_lost, EncoderOptions options = {}) {
    golden_ = testing::ReadGoldenEncoder("bert");
    LoadModelOptions load;
    load.model_dir = golden_.dir;
    auto loaded = LoadModel(load);
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    const auto spoil = [this, is_lost = std::move(is_lost)](int64_t, StepPiece& piece) {
      if (!is_lost(num_steps_++)) return;
      piece = {.status = {StatusCode::kUnavailable, "rank 1 is gone"},
               .scope = FailureScope::kRunner,
               .is_last = true};
    };
    options.max_texts = 1;
    auto engine = EncoderEngine::Start(std::move(*loaded), SentenceConfig(), options,
                                       FailingRunners(spoil, MakeRunner, Replaceable::kYes));
    ASSERT_TRUE(engine.ok()) << engine.status().ToString();
    engine_ = std::move(*engine);
  }

  // A request of `num_texts` texts.
  std::shared_ptr<EncodeAnswerSink> Encode(size_t num_texts) {
    auto sink = std::make_shared<EncodeAnswerSink>();
    EncodeRequest request;
    for (size_t i = 0; i < num_texts; ++i) {
      request.texts.push_back({golden_.texts[i].ids, golden_.texts[i].types});
    }
    request.output = EncodeOutput::kStates;
    EXPECT_TRUE(engine_->Submit(std::move(request), sink).ok());
    return sink;
  }

  // The states of the first texts.
  std::vector<float> Expected(size_t num_texts) const {
    std::vector<float> states;
    for (size_t i = 0; i < num_texts; ++i) {
      const auto& one = golden_.texts[i].states;
      states.insert(states.end(), one.begin(), one.end());
    }
    return states;
  }

  testing::GoldenEncoder golden_;
  int64_t num_steps_ = 0;
  std::unique_ptr<EncoderEngine> engine_;
};

TEST_F(LostRunnerTest, TextsAreComputedOnceMore) {
  Start([](int64_t step) { return step == 1; });
  const auto sink = Encode(3);
  const Status status = sink->Wait();
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(sink->num_texts(), 3U);
  EXPECT_EQ(sink->num_starts(), 1);
  EXPECT_LT(LargestDifference(sink->numbers(), Expected(3)), kEncoderTolerance);
  EXPECT_EQ(num_steps_, 4);
  EXPECT_EQ(engine_->stats().restarts, 1U);
}

TEST_F(LostRunnerTest, ARequestThatIsLostTwiceEndsAlone) {
  Start([](int64_t step) { return step == 1 || step == 2; });
  const auto lost = Encode(2);
  const Status status = lost->Wait();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("failed twice while it computed this request (rank 1 is gone)"),
            std::string::npos)
      << status.message();
  EXPECT_EQ(lost->num_texts(), 1U);
  const auto after = Encode(2);
  EXPECT_TRUE(after->Wait().ok());
  EXPECT_LT(LargestDifference(after->numbers(), Expected(2)), kEncoderTolerance);
  EXPECT_TRUE(engine_->healthy());
  EXPECT_EQ(engine_->stats().restarts, 2U);
}

TEST_F(LostRunnerTest, AfterTooManyRestartsAllRequestsEnd) {
  Start([](int64_t) { return true; }, {.max_restarts_per_hour = 0});
  const auto first = Encode(1), second = Encode(1);
  EXPECT_EQ(first->Wait().code(), StatusCode::kUnavailable);
  EXPECT_EQ(second->Wait().code(), StatusCode::kUnavailable);
  EXPECT_FALSE(engine_->healthy());
  EXPECT_EQ(engine_->Submit({}, nullptr).status().code(), StatusCode::kInvalidArgument);
  EncodeRequest request;
  request.texts.push_back({golden_.texts[0].ids, golden_.texts[0].types});
  const Status refused = engine_->Submit(std::move(request), nullptr).status();
  EXPECT_NE(refused.message().find("the model's runner has failed (rank 1 is gone)"),
            std::string::npos)
      << refused.message();
}

}  // namespace
}  // namespace dray::engine
