// The engine of an encoder: a thread that takes texts of many requests and has a runner compute them in
// ragged passes, as many at the same time as the runner takes: one for each stage.
//
// A runner that fails is replaced, as that of a decoder (recovery/runner_keeper.h). If its ranks were other
// processes, the texts of its passes are computed once more; a request whose texts are lost a second time ends
// with the error. If they were threads, the cause is an error of this process's own device, and the
// requests of the passes end with it. All other requests wait for the new runner.
//
// Threads: Submit, Cancel, stats and the other getters may be called from any thread. Events of a
// request arrive on the engine's own thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "engine/encoder/encode_queue.h"
#include "engine/encoder/encode_request.h"
#include "engine/encoder/encode_step.h"
#include "engine/engine.h"
#include "engine/recovery/restart_thread.h"
#include "engine/recovery/runner_keeper.h"
#include "engine/runner/loaded_model.h"
#include "engine/runner/make_runner.h"
#include "engine/runner/model_runner.h"
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
      std::nullopt;                     // of keys and values; absent: as beside the weights
  bool forbid_pickle = false;           // for the weights of dense steps
  int64_t max_restarts_per_hour = 100;  // as EngineOptions::max_restarts_per_hour
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
  // if the sentence configuration does not fit the model; also errors of `make_runner`, which makes all
  // runners, and of reading the weights of dense steps.
  static Result<std::unique_ptr<EncoderEngine>> Start(std::shared_ptr<LoadedModel> model,
                                                      const SentenceConfig& sentence,
                                                      const EncoderOptions& options,
                                                      const RunnerMaker& make_runner = MakeRunner);
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
  // False once the file of the weights was changed or cut short, or a failed runner could not be replaced. Requests
  // that have come by then end with an error. While a failed runner is being replaced, requests wait.
  bool healthy() const;

 private:
  struct Parts {
    std::shared_ptr<LoadedModel> model;
    std::shared_ptr<kernels::Backend> backend;
    std::unique_ptr<model::TextVectors> vectors;
    std::unique_ptr<RunnerKeeper> keeper;
    model::EncoderLimits pass_limits;
    EncoderLimits limits;
  };
  // Texts that the runner computes together.
  struct Pass {
    std::vector<EncodeQueue::Place> places;
    RunnerStep step;
  };
  using Numbers = std::vector<std::vector<float>>;  // [place of a pass]
  explicit EncoderEngine(Parts parts);

  Status Validate(const EncodeRequest& request) const;
  void Loop();
  // Moves what has arrived into the queue, and takes a new runner; sleeps while there is nothing to do. False:
  // the thread must end.
  bool TakeInbox();
  void CancelJob(RequestId id);
  // Gives the runner a pass. False if there is none, or the runner is being replaced.
  bool SubmitPass();
  void CollectPass();
  // Makes the numbers of a pass of what the runner has computed.
  Result<Numbers> Divide(const Pass& pass);
  void Finish(const Pass& pass, Numbers numbers);
  // Ends the requests of a pass.
  void Fail(const Pass& pass, const Status& status);
  // The runner has failed, and `lost` are the passes that it had.
  void LoseRunner(const Status& status, std::span<const std::unique_ptr<Pass>> lost);
  // Takes the texts of a pass that was lost back into the queue, or ends requests that were lost before.
  void Recompute(const Pass& pass, const Status& status);
  // Tells a request's end, if that was not told yet.
  static void End(EncodeJob& job, const Status& status);
  // Ends all requests, in passes and in the queue.
  void EndAll(const Status& status);
  void Publish();

  const std::shared_ptr<LoadedModel> model_;
  const std::shared_ptr<kernels::Backend> backend_;  // of the vectors, on this engine's thread
  const std::unique_ptr<model::TextVectors> vectors_;
  const EncoderLimits limits_;

  // The engine's thread alone.
  std::vector<std::unique_ptr<Pass>> passes_;  // the first ones are in flight, in their order
  size_t num_in_flight_ = 0;
  const std::unique_ptr<RunnerKeeper> keeper_;
  EncodeQueue queue_;
  EncodeNumbers computed_;
  uint64_t num_steps_ = 0, num_tokens_ = 0;
  StepSizes step_sizes_;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<EncodeJob> inbox_;
  std::vector<RequestId> cancelled_;
  bool runner_failed_ = false;
  bool stopping_ = false;
  Status health_;
  uint64_t last_id_ = 0;
  EngineStats stats_;

  RestartThread restarts_;
  std::thread thread_;
};

}  // namespace dray::engine
