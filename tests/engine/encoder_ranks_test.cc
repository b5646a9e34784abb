// The engine of an encoder whose ranks fail: the requests of the pass end with the error, and those that come
// later are computed by new ranks.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "engine/encoder/encoder_engine.h"
#include "kernels/backend.h"
#include "testing/golden_encoder.h"

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

// The states of one text, or the error.
class OneText final : public EncodeSink {
 public:
  void OnText(size_t, std::vector<float> numbers) override { numbers_ = std::move(numbers); }
  void OnEnd(const Status& status) override { end_.set_value(status); }
  Status Wait() { return end_.get_future().get(); }
  const std::vector<float>& numbers() const { return numbers_; }

 private:
  std::vector<float> numbers_;
  std::promise<Status> end_;
};

class EncoderRanksTest : public ::testing::Test {
 protected:
  // Starts an engine over two ranks, of which `rank` can fail.
  void Start(size_t rank) {
    golden_ = testing::ReadGoldenEncoder("bert");
    LoadModelOptions options;
    options.model_dir = golden_.dir;
    options.tensor_parallel_degree = 2;
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

  std::shared_ptr<OneText> Encode() {
    auto sink = std::make_shared<OneText>();
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

TEST_F(EncoderRanksTest, AFailureOfTheFirstRankEndsItsPassAlone) {
  Start(0);
  ASSERT_NO_FATAL_FAILURE(ExpectRecovery());
}

TEST_F(EncoderRanksTest, AFailureOfAnotherRankEndsItsPassAlone) {
  Start(1);
  ASSERT_NO_FATAL_FAILURE(ExpectRecovery());
}

}  // namespace
}  // namespace dray::engine
