// One model that serves: its workers, its tokenizer, and the rules of admission.
//
// Threads: all functions may be called from any thread. Owns one thread, which watches for requests
// that are without an answer for too long, and tends the workers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_options.h"
#include "serving/admission.h"
#include "serving/generation.h"
#include "serving/metrics/model_metrics.h"
#include "serving/reasons.h"
#include "serving/text_codec.h"
#include "serving/text_events.h"
#include "serving/workers/worker_pool.h"
#include "settings/answers/answer_shape.h"
#include "settings/answers/output_format.h"

namespace dray::serving {

// serving/encoder/
class EncodeReceiver;
class EncoderService;
class Encoding;
struct EncodeCall;

struct ModelOptions {
  std::string name = "model";
  std::string version;
  // Requests that may wait beside those that may run; Submit refuses more than their sum.
  int64_t job_queue_size = 1000;
  // How its requests get to workers.
  PoolOptions pool = {};
  // The longest time until the first token, and between two tokens.
  std::chrono::milliseconds predict_timeout{120'000};
  std::chrono::milliseconds chunked_read_timeout{120'000};
  // The model's end tokens.
  std::vector<int32_t> eos_token_ids;
  int64_t default_max_new_tokens = 30;
  settings::OutputFormat output_format = settings::OutputFormat::kByRequest;
  // How the requests and answers of DJLServing's dialect look.
  settings::AnswerShape answer_shape = settings::AnswerShape::kTokens;
  // Whether beam search follows FasterTransformer's rules (sampling::BeamRules).
  bool faster_transformer_beams = false;
  bool tgi_compat = false;
  bool stateful_sessions = true;
  std::chrono::seconds session_lifetime{1200};
  // What a request that does not say "stream" means.
  bool stream_by_default = false;
  // What its weights have taken of the server's memory, for as long as it lives
  // (workers/memory_budget.h).
  std::shared_ptr<const void> memory = nullptr;
  // Called once, on a thread of the model, when more of its workers have failed than pool.retry_threshold allows. May be
  // null.
  std::function<void()> on_failed = nullptr;
  // How it runs if its weights do not fit into memory.
  std::optional<engine::OffloadFacts> offload = std::nullopt;
  // Keeps temporary files that the model may read again (load/open_model.h); may be null.
  std::shared_ptr<const void> files = nullptr;
};

class ServedModel {
 public:
  // `workers` (at least one) and `codec` must agree on the vocabulary. `make_worker` makes further
  // workers.
  ServedModel(ModelOptions options, std::vector<WorkerParts> workers,
              WorkerPool::WorkerMaker make_worker, std::unique_ptr<TextCodec> codec);
  // Of an encoder, which has one worker.
  ServedModel(ModelOptions options, std::unique_ptr<EncoderService> encoder);
  // With one worker, and no others.
  ServedModel(ModelOptions options, std::unique_ptr<engine::Engine> engine,
              std::unique_ptr<TextCodec> codec);
  ServedModel(const ServedModel&) = delete;
  ServedModel& operator=(const ServedModel&) = delete;
  // Ends what is still in flight, with kCancelled.
  ~ServedModel();

  // Why any request would be refused now: the queue is full, the model is draining or has no workers. Counts the
  // refusal. A caller that asks before it reads a request need not read one that will be refused.
  std::optional<Reason> RefuseUnread();

  // Accepts the request; its events go to `sink`, perhaps before this returns. Or says why not: the
  // queue is full, the model is draining, or a parameter or a length does not fit. A refused
  // request causes no event.
  OrReason<std::shared_ptr<Generation>> Submit(const TextRequest& request,
                                               std::shared_ptr<TextSink> sink);

  // Null unless the model is an encoder.
  const EncoderService* encoder() const { return encoder_.get(); }
  // Does the same with a request to an encoder. kUnsupported if the model is none.
  OrReason<std::shared_ptr<Encoding>> Encode(const EncodeCall& call,
                                             std::shared_ptr<EncodeReceiver> receiver);

  // Refuses new requests from now on.
  void BeginDrain() { admission_.BeginDrain(); }
  // Waits until every accepted request is over; false if `deadline` comes first.
  bool WaitUntilIdle(std::chrono::steady_clock::time_point deadline) const {
    return admission_.WaitUntilEmpty(deadline);
  }
  // Ends every request soon, also one that is just being accepted; their EndEvents carry `reason`.
  void CancelAll(const Reason& reason);

  // Changes the numbers of workers and how they take requests; see WorkerPool::Apply.
  Status Apply(const WorkerPool::Change& change);
  // Gives up a worker that is being made; no other one will come.
  void StopMakingWorkers() { pool_.StopMaking(); }

  bool healthy() const { return pool_.healthy(); }
  bool lacks_workers() const { return pool_.lacks_workers(); }
  // Requests that were accepted and are not over.
  int64_t num_in_flight() const { return admission_.count(); }

  // As the model was made; pool_options() has what holds now.
  const ModelOptions& options() const { return options_; }
  PoolOptions pool_options() const { return pool_.options(); }
  WorkerGroupStatus workers() const { return pool_.status(); }
  const ModelMetrics& metrics() const { return metrics_; }
  const LoadTimes& load_times() const { return load_times_; }
  // Before other threads have the model.
  void SetLoadTimes(const LoadTimes& times) { load_times_ = times; }
  engine::EngineStats stats() const { return pool_.stats(); }
  engine::EngineLimits limits() const { return limits_; }

 private:
  OrReason<Admission::Ticket> Admit();
  Reason RefusalReason(Admission::Refusal refusal) const;
  void CountRefusal(const Reason& reason);
  // Lets the watcher tend the workers now.
  void WakeWatcher();
  // The watcher's thread.
  void Watch();

  // Accept or refuse, without counting what was refused.
  OrReason<std::shared_ptr<Generation>> TrySubmit(const TextRequest& request,
                                                  std::shared_ptr<TextSink> sink);
  OrReason<std::shared_ptr<Encoding>> TryEncode(const EncodeCall& call,
                                                std::shared_ptr<EncodeReceiver> receiver);
  // Lets the watcher and CancelAll see the request.
  void WatchRequest(const std::shared_ptr<RequestInFlight>& request);

  const ModelOptions options_;
  ModelMetrics metrics_;
  LoadTimes load_times_;
  Admission admission_;
  const std::unique_ptr<TextCodec> codec_;  // null for an encoder
  const std::unique_ptr<EncoderService> encoder_;
  const engine::EngineLimits limits_;
  WorkerPool pool_;  // after the codec, which its last events still use

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  bool tend_now_ = false;
  std::vector<std::weak_ptr<RequestInFlight>> watched_;
  std::optional<Reason> cancel_reason_;  // of CancelAll
  std::thread watcher_;
};

}  // namespace dray::serving
