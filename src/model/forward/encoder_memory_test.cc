// The bytes that an encoder says it allocates are those that it allocates.
#include "model/forward/encoder_memory.h"

#include <gtest/gtest.h>

#include "kernels/backend.h"
#include "kernels/make_backend.h"
#include "model/forward/encoder.h"

namespace dray::model {
namespace {

// The host's memory, whose allocations are counted.
class CountingMemory final : public kernels::Memory, private Allocator {
 public:
  explicit CountingMemory(kernels::Memory& inner) : inner_(inner) {}
  Allocator& allocator() override { return *this; }
  Status CopyFromHost(void* to, const void* from, size_t bytes) override {
    return inner_.CopyFromHost(to, from, bytes);
  }
  Status CopyToHost(void* to, const void* from, size_t bytes) override {
    return inner_.CopyToHost(to, from, bytes);
  }
  int64_t allocated_bytes() const { return allocated_bytes_; }

 private:
  Result<Buffer> Allocate(size_t size_bytes) override {
    allocated_bytes_ += static_cast<int64_t>(size_bytes);
    return inner_.allocator().Allocate(size_bytes);
  }
  int64_t FreeBytes() const override { return inner_.allocator().FreeBytes(); }
  // Buffers are those of the inner allocator.
  void Free(void*, size_t) noexcept override {}

  kernels::Memory& inner_;
  int64_t allocated_bytes_ = 0;
};

class CountingBackend final : public kernels::Backend {
 public:
  CountingBackend() : inner_(kernels::MakeBackend({}).value()), memory_(inner_->memory()) {}
  kernels::Memory& memory() override { return memory_; }
  kernels::Packer& packer() override { return inner_->packer(); }
  kernels::Ops& ops() override { return inner_->ops(); }
  void BeginStep(int64_t num_tokens) override { inner_->BeginStep(num_tokens); }
  Status EndStep() override { return inner_->EndStep(); }
  void AdoptThread() override {}
  std::string Describe() const override { return inner_->Describe(); }
  std::string_view isa() const override { return inner_->isa(); }
  int64_t allocated_bytes() const { return memory_.allocated_bytes(); }

 private:
  std::unique_ptr<kernels::Backend> inner_;
  CountingMemory memory_;
};

ModelConfig SmallEncoder() {
  ModelConfig config;
  config.kind = ModelKind::kEncoder;
  config.vocab_size = 50;
  config.embed_dim = config.stack.hidden = 48;
  config.stack.num_layers = 2;
  config.stack.num_heads = config.stack.num_kv_heads = 3;
  config.stack.head_dim = 16;
  config.stack.ffn = 80;
  return config;
}

void ExpectSaidBytes(const ModelConfig& config, const EncoderLimits& limits) {
  CountingBackend backend;
  const Weights weights(config.stack.num_layers);
  const auto encoder = Encoder::Make(
      {.config = config, .stack = config.stack, .weights = weights, .backend = backend}, limits);
  ASSERT_TRUE(encoder.ok()) << encoder.status().ToString();
  EXPECT_EQ(backend.allocated_bytes(), EncoderMemoryBytes(config, config.stack, limits));
}

TEST(EncoderMemoryTest, IsWhatIsAllocated) {
  ExpectSaidBytes(SmallEncoder(), {.max_batch_tokens = 100, .max_texts = 7});
  ExpectSaidBytes(SmallEncoder(), {.max_batch_tokens = 64, .max_texts = 3, .kv_dtype = DType::kI8});
}

TEST(EncoderMemoryTest, WithAClassifier) {
  ModelConfig config = SmallEncoder();
  config.classifier.emplace();
  config.classifier->labels = {"a", "b", "c"};
  ExpectSaidBytes(config, {.max_batch_tokens = 33, .max_texts = 5, .kv_dtype = DType::kBF16});
}

}  // namespace
}  // namespace dray::model
