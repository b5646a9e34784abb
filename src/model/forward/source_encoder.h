// The reading half of an encoder-decoder: it computes the states of the texts that are to be answered (the
// sources), and of these states the keys and values of every layer of the decoder. They are written into
// the decoder's cache, before those of the answer, so a source is read once for all tokens of its answer.
//
// The stages of a pipeline divide the encoder's layers and the decoder's. Each stage stores the keys and
// values of its own layers of the decoder, for which it needs the states that the last stage has.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/forward/encoder.h"
#include "model/forward/layer_stack.h"

namespace dray::model {

// The sources of one step, in host memory.
struct SourceBatch {
  EncoderBatch texts;
  std::vector<int32_t> slots;  // [tokens of all texts]: where keys and values go in the cache

  void Clear();
  // Room for every step within the limits, so that none allocates.
  void Reserve(const EncoderLimits& limits);
};

class SourceEncoder {
 public:
  // Allocates all working memory; Run allocates none. `encoder` is the part of EncoderOf's model, and
  // `decoder` that of the whole model; what they name must outlive the source encoder.
  static Result<std::unique_ptr<SourceEncoder>> Make(const ForwardParts& encoder,
                                                     const ForwardParts& decoder,
                                                     const EncoderLimits& limits);

  // Computes the encoder's layers of this stage. Errors are as those of Encoder::Forward.
  Status Encode(const SourceBatch& batch) { return encoder_->Forward(batch.texts); }
  // Encoder::Stream: between Encode and Store the caller brings the last stage's states there.
  std::span<float> Stream(int64_t num_tokens) const { return encoder_->Stream(num_tokens); }
  // Makes keys and values of the sources' states, and writes them into the cache.
  Status Store(const SourceBatch& batch, const KvCache& cache);

 private:
  explicit SourceEncoder(const ForwardParts& decoder);
  Status Allocate(const ForwardParts& encoder, const EncoderLimits& limits);

  const StackConfig& config_;  // the decoder's, at this rank
  const StackWeights& weights_;
  kernels::Memory& memory_;
  kernels::Ops& ops_;
  std::unique_ptr<Encoder> encoder_;
  Tensor keys_and_values_;  // [max_batch_tokens, 2 * kv_width]
  Tensor device_slots_;     // [max_batch_tokens]
};

}  // namespace dray::model
