#include "engine/validate.h"

#include <fmt/format.h>

#include "sampling/params.h"

namespace dray::engine {

Status ValidateTokens(std::span<const int32_t> tokens, int64_t vocab_size) {
  if (tokens.empty())
    return {StatusCode::kInvalidArgument, "the prompt has no tokens: send at least one"};
  for (const int32_t id : tokens) {
    if (id >= 0 && id < vocab_size) continue;
    return {StatusCode::kInvalidArgument,
            fmt::format("prompt token {} is not in the model's vocabulary of {}", id, vocab_size)};
  }
  return OkStatus();
}

Status CheckPromptLogprobs(const sampling::SamplingParams& params, const EngineLimits& limits) {
  if (!limits.encodes_prompt || !params.prompt_logprobs) return OkStatus();
  return {
      StatusCode::kInvalidArgument,
      "the prompt's tokens have no log-probabilities, because this model's encoder reads all of "
      "them at once; ask for those of the answer alone"};
}

Status Validate(const GenerateRequest& request, const EngineLimits& limits) {
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (prompt_tokens >= limits.max_context_tokens) {
    return {StatusCode::kInvalidArgument,
            fmt::format("the prompt has {} tokens, but prompt and new tokens together may have {}: "
                        "shorten or truncate it",
                        prompt_tokens, limits.max_context_tokens)};
  }
  DRAY_RETURN_IF_ERROR(ValidateTokens(request.prompt, limits.vocab_size));
  DRAY_RETURN_IF_ERROR(CheckPromptLogprobs(request.params, limits));
  sampling::ParamLimits params;
  params.vocab_size = limits.vocab_size;
  params.max_new_tokens = limits.max_context_tokens - prompt_tokens;
  return sampling::Validate(request.params, params);
}

}  // namespace dray::engine
