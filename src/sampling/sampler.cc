#include "sampling/sampler.h"

#include <cmath>
#include <limits>

#include "sampling/philox.h"

namespace dray::sampling {
namespace {

Status NotNumbers() {
  return Status(StatusCode::kInternal,
                "the model's logits hold NaN or infinity; its weights or number format overflow");
}

}  // namespace

Sampler::Sampler(const SamplerSpec& spec)
    : params_(spec.params),
      seed_(spec.seed),
      sample_index_(spec.sample_index),
      end_tokens_(params_, spec.eos_token_ids),
      history_(params_, spec.prompt) {}

Result<SampledToken> Sampler::Choose(std::span<float> logits, SamplingWorkspace& workspace) const {
  SampledToken chosen;
  if (params_.num_logprobs) workspace.model_logits.assign(logits.begin(), logits.end());
  ProcessLogits(params_, history_, end_tokens_.ids(), logits);
  const float max = MaxLogit(logits);
  if (std::isnan(max) || max == std::numeric_limits<float>::infinity()) return NotNumbers();
  if (max == -std::numeric_limits<float>::infinity()) {
    return Status(
        StatusCode::kInvalidArgument,
        "no token is left to choose; allow more with \"bad_words\" or \"min_new_tokens\"");
  }
  chosen.token_id = Pick(logits, max, history_.num_generated(), workspace);
  if (params_.num_logprobs) {
    chosen.logprob = ComputeLogprobs(workspace.model_logits, chosen.token_id, *params_.num_logprobs,
                                     workspace.top);
    chosen.top = workspace.top;
  }
  return chosen;
}

std::optional<int32_t> Sampler::Guess(std::span<float> logits, int64_t num_ahead,
                                      SamplingWorkspace& workspace) const {
  ProcessLogits(params_, history_, end_tokens_.ids(), logits);
  const float max = MaxLogit(logits);
  if (!std::isfinite(max)) return std::nullopt;
  return Pick(logits, max, history_.num_generated() + num_ahead, workspace);
}

int32_t Sampler::Pick(std::span<float> logits, float max, int64_t position,
                      SamplingWorkspace& workspace) const {
  if (IsGreedy(params_)) return IndexOf(logits, max);
  SelectCandidates(params_, max, logits, workspace);
  const double uniform = UniformDraw(seed_, static_cast<uint64_t>(position), sample_index_);
  return PickCandidate(workspace.candidates(), uniform);
}

std::optional<FinishReason> Sampler::Append(int32_t token_id) {
  history_.Append(token_id);
  if (const auto reason = end_tokens_.ReasonOf(token_id)) return reason;
  if (history_.num_generated() >= params_.max_new_tokens) return FinishReason::kLength;
  return std::nullopt;
}

}  // namespace dray::sampling
