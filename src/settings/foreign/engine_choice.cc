#include "settings/foreign/engine_choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "settings/foreign/words.h"

namespace dray::settings {
namespace {

using Text = std::string_view;

constexpr EngineKey kEngineKeys[] = {
    {"engine", "Python MPI DeepSpeed FasterTransformer Rubikon Rust",
     "dray serves transformer language models only; remove it, or set it to Python"},
    {"option.rolling_batch", "auto vllm trtllm lmi-dist scheduler disable",
     "it must be one of auto, vllm, trtllm, lmi-dist, scheduler, disable; dray has one engine for "
     "all"},
    {"option.entryPoint",
     "huggingface deepspeed fastertransformer transformers_neuronx neuronx tensorrt_llm "
     "tensorrt_llm_python lmi_vllm.vllm_async_service lmi_trtllm.trtllm_async_service",
     "handlers in Python are not in this build; remove it, or set it to djl_python.huggingface"},
};

const EngineKey& EntryPointKey() { return kEngineKeys[2]; }

bool IsEcho(const EngineKey& key, Text value) {
  return key.property == "engine" && value == kEchoEngine;
}

bool IsServed(const EngineKey& key, Text value) {
  if (IsEcho(key, value)) return true;
  return &key == &EntryPointKey() ? IsBuiltInHandler(value) : ListHolds(key.values, value);
}

}  // namespace

std::vector<EngineKey> EngineKeys() { return {std::begin(kEngineKeys), std::end(kEngineKeys)}; }

bool IsEngineKey(Text property) {
  return std::any_of(std::begin(kEngineKeys), std::end(kEngineKeys),
                     [&](const EngineKey& key) { return key.property == property; });
}

std::string HandlerName(Text entry_point) {
  std::string name = ToLower(entry_point);
  std::replace(name.begin(), name.end(), '-', '_');
  constexpr Text kPackage = "djl_python.";
  if (name.starts_with(kPackage)) name.erase(0, kPackage.size());
  return name;
}

bool IsBuiltInHandler(Text entry_point) {
  return ListHolds(EntryPointKey().values, HandlerName(entry_point));
}

Result<EngineChoice> ChooseEngine(const std::map<std::string, ForeignValue>& given) {
  EngineChoice choice;
  const auto value_of = [&](const char* property) {
    const auto found = given.find(property);
    return found == given.end() ? std::string() : found->second.value;
  };
  const std::string chosen = value_of("engine"), rolling_batch = value_of("option.rolling_batch");
  const std::string entry_point = HandlerName(value_of("option.entryPoint"));
  const HandlerChoice handler = {
      .engine = chosen, .entry_point = entry_point, .rolling_batch = rolling_batch};
  choice.answer_shape = ShapeOfHandler(handler);
  choice.faster_transformer_beams = IsFasterTransformer(handler);
  // lmi-dist became vllm.
  constexpr int64_t kLargeBatch = 256;
  if (ListHolds("vllm trtllm lmi-dist", value_of("option.rolling_batch"))) {
    choice.max_rolling_batch_size = kLargeBatch;
  }
  for (const EngineKey& key : kEngineKeys) {
    const auto found = given.find(std::string(key.property));
    if (found == given.end()) continue;
    const auto& [value, where] = found->second;
    if (!IsServed(key, value)) {
      return Status(
          StatusCode::kUnsupported,
          fmt::format("{} is \"{}\", which cannot be served: {}", where, value, key.reason));
    }
    if (IsEcho(key, value)) {
      choice.engine = EngineKind::kEcho;
      continue;
    }
    choice.note += fmt::format("{}{}={}", choice.note.empty() ? "" : ", ", key.property, value);
    choice.has_built_in_handler |= &key == &EntryPointKey();
  }
  if (!choice.note.empty()) choice.note += ": dray's own engine serves with the same options";
  return choice;
}

}  // namespace dray::settings
