#include "serving/echo/open_echo_model.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/echo/echo_engine.h"
#include "sampling/params.h"
#include "serving/echo/character_codec.h"

namespace dray::serving {
namespace {

// By default as much as leaves room for max_n sequences of any length (sampling::ParamLimits).
int64_t ContextTokens(const settings::ModelSettings& settings) {
  const sampling::ParamLimits limits;
  return settings.max_model_len > 0 ? settings.max_model_len
                                    : limits.max_total_new_tokens / limits.max_n;
}

}  // namespace

std::shared_ptr<ServedModel> OpenEchoModel(const settings::ModelSettings& settings,
                                           ModelOptions options) {
  const engine::EchoOptions echo{
      .vocab_size = kCharacterVocabSize,
      .end_token = kCharacterEndToken,
      .max_context_tokens = ContextTokens(settings),
      .token_interval = std::chrono::milliseconds(settings.echo_interval_ms),
  };
  const auto make_worker = [echo](int64_t, const std::stop_token&) -> Result<WorkerParts> {
    return WorkerParts{.engine = engine::StartEchoEngine(echo)};
  };
  options.eos_token_ids = {kCharacterEndToken};
  options.default_max_new_tokens = echo.max_context_tokens;
  std::vector<WorkerParts> workers;
  for (int64_t i = 0; i < std::max<int64_t>(1, options.pool.min_workers); ++i) {
    workers.push_back({.engine = engine::StartEchoEngine(echo)});
  }
  return std::make_shared<ServedModel>(std::move(options), std::move(workers), make_worker,
                                       MakeCharacterCodec());
}

}  // namespace dray::serving
