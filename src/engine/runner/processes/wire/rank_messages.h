// What the front and the process of a rank tell each other over their control socket:
//
//   front                              rank
//   kLoad, with the model     ->       loads its slices; kProgress, then kLoaded    ->
//   kRun, with the sizes and
//   the memory files          ->       makes its cache and joins its links; kReady  ->
//                                      at any time: kAlive, again and again, and kFailed
//
// After that, steps and logits go through shared memory (step_codec.h). A rank whose order is to
// report answers with kTraffic.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/engine_options.h"
#include "engine/runner/model_runner.h"

namespace dray::engine {

enum class RankMessageKind : uint8_t {
  kLoad,
  kRun,
  kProgress,
  kLoaded,
  kReady,
  kAlive,
  kFailed,
  kHello,  // of a rank that the front has not started itself
  kTraffic,
};

// kInvalidArgument or kCorrupt if the bytes are no such message; what follows the kind is checked by
// the function that decodes it.
Result<RankMessageKind> KindOf(std::span<const std::byte> message);

// The model, and which rank of it the process is (LoadModelOptions::only_rank). The functions of the
// options and their backends stay behind.
std::vector<std::byte> EncodeLoad(const LoadModelOptions& options);
Result<LoadModelOptions> DecodeLoad(std::span<const std::byte> message);

// Which memory files come with the message, in this order; the link of orders always does.
struct RunMessage {
  RunnerSpec spec;
  bool has_group = false;   // of the rank's stage
  bool has_before = false;  // the link from the stage before
  bool has_next = false;    // the link to the next stage
  // The link from the last stage to the first one: at both of them, if the model has an encoder.
  bool has_state_link = false;
  bool has_results = false;  // the link of results, at the first rank of the last stage
};
std::vector<std::byte> EncodeRun(const RunMessage& run);
Result<RunMessage> DecodeRun(std::span<const std::byte> message);

struct ProgressMessage {
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;
};
std::vector<std::byte> EncodeProgress(const ProgressMessage& progress);
Result<ProgressMessage> DecodeProgress(std::span<const std::byte> message);

// What a rank in another process tells once it has its weights.
struct LoadedMessage {
  // Its own; or, if it is the head of an MPI job, of all ranks.
  std::vector<uint64_t> weight_bytes;
  std::string backend;  // Backend::Describe
};
std::vector<std::byte> EncodeLoaded(const LoadedMessage& loaded);
Result<LoadedMessage> DecodeLoaded(std::span<const std::byte> message);

// What ranks have sent to others: a rank of its own; or the head of an MPI job of all ranks.
std::vector<std::byte> EncodeTraffic(std::span<const RankTraffic> traffic);
Result<std::vector<RankTraffic>> DecodeTraffic(std::span<const std::byte> message);

// By which the front knows the process of a job (parallel/processes/front_listener.h).
struct HelloMessage {
  int64_t rank = 0;
  std::string secret;
};
std::vector<std::byte> EncodeHello(const HelloMessage& hello);
Result<HelloMessage> DecodeHello(std::span<const std::byte> message);

// kReady and kAlive.
std::vector<std::byte> EncodeKind(RankMessageKind kind);

std::vector<std::byte> EncodeFailed(const Status& status);
// The status, or the error of decoding it: never OK.
Status DecodeFailed(std::span<const std::byte> message);

}  // namespace dray::engine
