// One model that serves: its engine, its tokenizer, and the rules of admission.
//
// Threads: everything may be called from any thread. Owns one thread, which watches for requests
// that the engine leaves without an answer for too long.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "sampling/params.h"
#include "serving/generation.h"
#include "serving/text_codec.h"
#include "serving/text_events.h"

namespace dray::serving {

// How an answer is written unless the request itself says otherwise.
enum class OutputFormat {
  kByRequest,  // a streamed answer as lines, any other whole
  kJson,
  kJsonLines,
  kServerSentEvents,
};

struct ModelOptions {
  std::string name = "model";
  std::string version;
  // Requests that may wait beside those that run; over their sum Submit refuses.
  int64_t job_queue_size = 1000;
  int64_t max_running = 32;
  // Until the first token, and between two.
  std::chrono::milliseconds predict_timeout{120'000};
  std::chrono::milliseconds chunked_read_timeout{120'000};
  // The model's end tokens.
  std::vector<int32_t> eos_token_ids;
  int64_t default_max_new_tokens = 30;
  OutputFormat output_format = OutputFormat::kByRequest;
  // What a request that does not say "stream" means.
  bool stream_by_default = false;
};

// For sampling without a seed of its own. Below 2^52, so that every JSON reader can send it back.
uint64_t RandomSeed();

class Model {
 public:
  // `engine` and `codec` must agree on the vocabulary.
  Model(ModelOptions options, std::unique_ptr<engine::Engine> engine,
        std::unique_ptr<TextCodec> codec);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  // Ends what is still in flight, with kCancelled.
  ~Model();

  // Accepts the request; its events go to `sink`, perhaps before this returns. kInvalidArgument
  // names the parameter or the lengths that do not fit; kUnavailable: the queue is full, or
  // draining. A refused request causes no event.
  Result<std::shared_ptr<Generation>> Submit(const TextRequest& request,
                                             std::shared_ptr<TextSink> sink);

  // Refuses new requests from now on.
  void BeginDrain();
  bool draining() const { return draining_; }
  bool healthy() const { return engine_->healthy(); }
  // Requests that were accepted and are not over.
  int64_t num_in_flight() const { return *in_flight_; }

  const ModelOptions& options() const { return options_; }
  engine::EngineStats stats() const { return engine_->stats(); }
  engine::EngineLimits limits() const { return engine_->limits(); }

 private:
  Status Admit() const;
  Result<std::vector<int32_t>> EncodePrompt(const TextRequest& request) const;
  Status CheckLengths(const TextRequest& request, int64_t num_prompt_tokens,
                      sampling::SamplingParams& params) const;
  Status AddBadWords(const TextRequest& request, sampling::SamplingParams& params) const;
  void Watch();

  const ModelOptions options_;
  const std::shared_ptr<std::atomic<int64_t>> in_flight_;
  const std::unique_ptr<TextCodec> codec_;
  std::unique_ptr<engine::Engine> engine_;
  std::atomic<bool> draining_{false};

  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;
  std::vector<std::weak_ptr<Generation>> watched_;
  std::thread watcher_;
};

}  // namespace dray::serving
