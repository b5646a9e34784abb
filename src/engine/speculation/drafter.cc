#include "engine/speculation/drafter.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/runner/loaded_model.h"
#include "engine/speculation/model_drafter.h"
#include "engine/speculation/prompt_lookup.h"

namespace dray::engine {
namespace {

Status CheckLookup(const SpeculationOptions& options) {
  if (options.lookup_min >= 1 && options.lookup_min <= options.lookup_max) return OkStatus();
  return {
      StatusCode::kInvalidArgument,
      fmt::format("prompt_lookup_min is {} and prompt_lookup_max {}: the first must be at least "
                  "1, and at most the second",
                  options.lookup_min, options.lookup_max)};
}

Status CheckDraftModel(const LoadedModel& model, const LoadedModel* draft) {
  if (model.description.config.encoder) {
    return {
        StatusCode::kUnsupported,
        fmt::format("speculative_draft_model: {} models answer a text that an encoder reads, which "
                    "no draft model does; use speculative_method=ngram",
                    model.description.config.family)};
  }
  if (draft == nullptr) {
    return {StatusCode::kInvalidArgument,
            "speculation with a draft model needs one: set speculative_draft_model"};
  }
  DRAY_RETURN_IF_ERROR(CheckKind(draft->description.config, model::ModelKind::kDecoder));
  const int64_t vocab = model.description.config.vocab_size;
  const int64_t draft_vocab = draft->description.config.vocab_size;
  if (vocab == draft_vocab) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("speculative_draft_model has a vocabulary of {} tokens and the model one of "
                      "{}: they must be the same; choose a smaller model of the same family, or "
                      "speculative_method=ngram",
                      draft_vocab, vocab)};
}

}  // namespace

Result<std::unique_ptr<Drafter>> MakeDrafter(const LoadedModel& model, LoadedModel* draft,
                                             const SpeculationOptions& options,
                                             const RunnerMaker& make_runner) {
  switch (options.method) {
    case SpeculationMethod::kNone:
      break;
    case SpeculationMethod::kPromptLookup:
      DRAY_RETURN_IF_ERROR(CheckLookup(options));
      return MakePromptLookup(options.lookup_min, options.lookup_max);
    case SpeculationMethod::kDraftModel:
      DRAY_RETURN_IF_ERROR(CheckDraftModel(model, draft));
      // A step of few rows takes as long as reading its weights takes.
      return MakeModelDrafter(*draft,
                              static_cast<double>(draft->weight_bytes()) /
                                  static_cast<double>(std::max<size_t>(1, model.weight_bytes())),
                              make_runner);
  }
  return std::unique_ptr<Drafter>();
}

}  // namespace dray::engine
