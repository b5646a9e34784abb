#include "settings/speculation_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/parse/json.h"
#include "settings/setting_values.h"

namespace dray::settings {
namespace {

constexpr int64_t kMostTokens = 1024;

struct MethodName {
  std::string_view text;
  SpeculationChoice method;
};
constexpr MethodName kMethodNames[] = {
    {"auto", SpeculationChoice::kAuto},
    {"none", SpeculationChoice::kNone},
    {"ngram", SpeculationChoice::kNgram},
    {"draft_model", SpeculationChoice::kDraftModel},
};

Status SetNumber(int64_t& out, std::string_view key, const Json& value, int64_t min) {
  const auto number = value.AsInt64();
  if (!number || *number < min || *number > kMostTokens) {
    return MustBe(fmt::format("its \"{}\" is {}; it must be a whole number from {} to {}", key,
                              value.Dump(), min, kMostTokens));
  }
  out = *number;
  return OkStatus();
}

Status SetText(SpeculationSettings& settings, std::string_view key, const Json& value,
               Status (*set)(SpeculationSettings&, std::string_view)) {
  const std::string* const text = value.AsString();
  Status status = text == nullptr ? MustBe("it must be text") : set(settings, *text);
  if (status.ok()) return status;
  return Status(status.code(),
                fmt::format("its \"{}\" is {}; {}", key, value.Dump(), status.message()));
}

Status SetMember(SpeculationSettings& settings, std::string_view key, const Json& value) {
  if (key == "method") return SetText(settings, key, value, SetSpeculativeMethod);
  if (key == "model") return SetText(settings, key, value, SetDraftModel);
  if (key == "num_speculative_tokens") return SetNumber(settings.num_tokens, key, value, 1);
  if (key == "prompt_lookup_max") return SetNumber(settings.lookup_max, key, value, 1);
  if (key == "prompt_lookup_min") return SetNumber(settings.lookup_min, key, value, 1);
  if (key == "draft_tensor_parallel_size" && value.AsInt64() == 1) return OkStatus();
  return Status(StatusCode::kUnsupported,
                fmt::format("its \"{}\" is {}, which dray does not know; there are method, model, "
                            "num_speculative_tokens, prompt_lookup_max and prompt_lookup_min",
                            key, value.Dump()));
}

}  // namespace

Status SetSpeculativeMethod(SpeculationSettings& settings, std::string_view text) {
  const auto* const known = std::find_if(std::begin(kMethodNames), std::end(kMethodNames),
                                         [&](const MethodName& name) { return name.text == text; });
  if (known == std::end(kMethodNames)) {
    return {StatusCode::kUnsupported, "it must be one of auto, none, ngram, draft_model"};
  }
  settings.method = known->method;
  return OkStatus();
}

Status SetDraftModel(SpeculationSettings& settings, std::string_view text) {
  if (text.empty()) return MustBe("it must not be empty");
  if (text == "[ngram]" || text == "ngram") {
    settings.method = SpeculationChoice::kNgram;
    return OkStatus();
  }
  settings.draft_model = text;
  return OkStatus();
}

Status SetSpeculativeConfig(SpeculationSettings& settings, std::string_view text) {
  const auto json = Json::Parse(text);
  if (!json.ok() || !json->is_object()) {
    return MustBe("it must be a JSON object such as {\"method\": \"ngram\"}");
  }
  for (const auto& [key, value] : *json->AsObject()) {
    DRAY_RETURN_IF_ERROR(SetMember(settings, key, value));
  }
  return OkStatus();
}

Result<engine::SpeculationOptions> MakeSpeculation(const SpeculationSettings& settings) {
  const bool has_model = !settings.draft_model.empty();
  if (settings.method == SpeculationChoice::kDraftModel && !has_model) {
    return MustBe("speculative_method is draft_model, but speculative_draft_model names none");
  }
  if (settings.method == SpeculationChoice::kNgram && has_model) {
    return MustBe(
        fmt::format("speculative_method is ngram, which needs no model, but "
                    "speculative_draft_model is \"{}\"; remove one of the two",
                    settings.draft_model));
  }
  if (settings.lookup_min > settings.lookup_max) {
    return MustBe(
        fmt::format("prompt_lookup_min is {}, but prompt_lookup_max is {}: lower the "
                    "first or raise the second",
                    settings.lookup_min, settings.lookup_max));
  }
  engine::SpeculationOptions options;
  if (settings.method == SpeculationChoice::kNgram)
    options.method = engine::SpeculationMethod::kPromptLookup;
  if (settings.method == SpeculationChoice::kDraftModel ||
      (settings.method == SpeculationChoice::kAuto && has_model)) {
    options.method = engine::SpeculationMethod::kDraftModel;
  }
  options.max_drafts = settings.num_tokens;
  options.lookup_min = settings.lookup_min;
  options.lookup_max = settings.lookup_max;
  return options;
}

}  // namespace dray::settings
