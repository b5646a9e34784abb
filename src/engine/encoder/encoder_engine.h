// The engine of an encoder: a thread that takes texts of many requests and computes them in ragged
// passes.
//
// Threads: Submit, Cancel, stats and the other getters may be called from any thread. Events of a
// request arrive on the engine's own thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/encoder/encode_queue.h"
#include "engine/encoder/encode_request.h"
#include "engine/encoder/encoder_ranks.h"
#include "engine/engine.h"
#include "engine/runner/loaded_model.h"
#include "model/forward/encoder.h"
#include "model/sentence/text_vectors.h"

namespace dray::engine {

// For the floors above, which know no model.
using model::ClassifierConfig;
using model::ClassScores;
using model::SentenceConfig;

struct EncoderOptions {
  // Tokens of a pass, or as many as the longest text has if these are more; 0: as many as suit the
  // weights' format (EncoderEngine::PassLimits).
  int64_t max_batch_tokens = 0;
  // Texts of a pass: each takes at least a block of working memory (model/forward/encoder.h).
  int64_t max_texts = 128;
  std::optional<DType> kv_dtype =
      std::nullopt;            // of keys and values; absent: as beside the weights
  bool forbid_pickle = false;  // for the weights of dense steps
};

// What a request may ask of this engine.
struct EncoderLimits {
  int64_t vocab_size = 0;
  int64_t num_token_types = 0;  // 0: types are not read
  int64_t max_tokens = 0;       // of a text
  int64_t hidden = 0;
  int64_t vector_size = 0;  // numbers of a text's vector
  int64_t num_labels = 0;   // 0: the model has no classes
};

class EncoderEngine {
 public:
  // Starts the engine, which shares the model. `sentence` says how vectors are made. kInvalidArgument
  // if the sentence configuration does not fit the model; also errors of EncoderRanks::Make and of reading the
  // weights of dense steps.
  static Result<std::unique_ptr<EncoderEngine>> Start(std::shared_ptr<LoadedModel> model,
                                                      const SentenceConfig& sentence,
                                                      const EncoderOptions& options);
  // What a pass may have if no text has more tokens than `longest_text`.
  static model::EncoderLimits PassLimits(const LoadedModel& model, int64_t longest_text,
                                         const EncoderOptions& options);
  // Bytes of working memory of such an engine, beside the weights.
  static int64_t WorkingBytes(const LoadedModel& model, const SentenceConfig& sentence,
                              const EncoderOptions& options);
  EncoderEngine(const EncoderEngine&) = delete;
  EncoderEngine& operator=(const EncoderEngine&) = delete;
  // Ends all requests with kCancelled.
  ~EncoderEngine();

  // Accepts a request and returns its id. kInvalidArgument if a text is empty or too long, or a token
  // or type does not exist; kUnsupported if the model has no classes but the request wants them;
  // kUnavailable if the engine is ending or not healthy. A refused request causes no event.
  Result<RequestId> Submit(EncodeRequest request, std::shared_ptr<EncodeSink> sink);
  // Ends the request soon, with kCancelled. Does nothing if the request is over already.
  void Cancel(RequestId id);

  const EncoderLimits& limits() const { return limits_; }
  // The classes that it sorts texts into; null if it has none.
  const ClassifierConfig* classifier() const {
    const auto& classifier = model_->description.config.classifier;
    return classifier ? &*classifier : nullptr;
  }
  // running_sequences and waiting_sequences count requests; prompt_tokens and steps what is computed.
  EngineStats stats() const;
  // False once the file of the weights was changed or cut short, or failed ranks could not be replaced. Requests
  // that have come by then end with an error.
  bool healthy() const;

 private:
  struct Parts {
    std::shared_ptr<LoadedModel> model;
    std::unique_ptr<EncoderRanks> ranks;
    std::unique_ptr<model::TextVectors> vectors;
    model::EncoderLimits pass_limits;
    EncoderLimits limits;
  };
  explicit EncoderEngine(Parts parts);

  Status Validate(const EncodeRequest& request) const;
  void Loop();
  // Moves what has arrived into the queue; sleeps while there is nothing to do. False: the thread
  // must end.
  bool TakeInbox();
  void RunPass();
  // Computes the texts of a pass: [i] are the numbers of places[i].
  Result<std::vector<std::vector<float>>> Compute(const std::vector<EncodeQueue::Place>& places);
  // After a failure that has ended the group of ranks. If there are no new ones, the engine is not healthy.
  void ReplaceRanks();
  // Ends the requests of a pass.
  void Fail(const std::vector<EncodeQueue::Place>& places, const Status& status);
  void Publish(const std::vector<EncodeQueue::Place>& places);

  const std::shared_ptr<LoadedModel> model_;
  kernels::Backend& backend_;
  const std::unique_ptr<model::TextVectors> vectors_;
  const EncoderLimits limits_;
  const model::EncoderLimits pass_limits_;

  // The engine's thread alone.
  std::unique_ptr<EncoderRanks> ranks_;  // null if they have failed and could not be replaced
  EncodeQueue queue_;
  model::EncoderBatch batch_;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<EncodeJob> inbox_;
  std::vector<RequestId> cancelled_;
  bool stopping_ = false;
  bool healthy_ = true;
  uint64_t last_id_ = 0;
  EngineStats stats_;

  std::thread thread_;
};

}  // namespace dray::engine
