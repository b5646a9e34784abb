#include "model/describe/gguf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "model/describe/gguf_end_tokens.h"
#include "model/describe/gguf_names.h"
#include "model/describe/tied_head.h"

namespace dray::model {
namespace {

using checkpoint::Checkpoint;
using checkpoint::TensorSource;

// A metadata key, without the architecture's name and its dot, and the config.json key that means
// the same.
struct KeyPair {
  std::string_view gguf;
  std::string_view config;
};

// A bias that only some models of a family have. The model has it if the file has the tensor.
struct BiasFlag {
  std::string_view config;
  std::string_view tensor;
};

struct Architecture {
  std::string_view name;        // general.architecture
  std::string_view model_type;  // the family that computes it
  std::span<const KeyPair> keys;
  GgufHeads heads = GgufHeads::kAsTheyAre;
  std::span<const BiasFlag> biases = {};
};

constexpr std::array kLlamaKeys = {
    KeyPair{"context_length", "max_position_embeddings"},
    KeyPair{"block_count", "num_hidden_layers"},
    KeyPair{"embedding_length", "hidden_size"},
    KeyPair{"feed_forward_length", "intermediate_size"},
    KeyPair{"attention.head_count", "num_attention_heads"},
    KeyPair{"attention.head_count_kv", "num_key_value_heads"},
    KeyPair{"attention.key_length", "head_dim"},
    KeyPair{"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    KeyPair{"rope.freq_base", "rope_theta"},
};
constexpr std::array kGptNeoxKeys = {
    KeyPair{"context_length", "max_position_embeddings"},
    KeyPair{"block_count", "num_hidden_layers"},
    KeyPair{"embedding_length", "hidden_size"},
    KeyPair{"feed_forward_length", "intermediate_size"},
    KeyPair{"attention.head_count", "num_attention_heads"},
    KeyPair{"attention.layer_norm_epsilon", "layer_norm_eps"},
    KeyPair{"use_parallel_residual", "use_parallel_residual"},
    KeyPair{"rope.freq_base", "rope_theta"},
};
constexpr std::array kGpt2Keys = {
    KeyPair{"context_length", "n_positions"},
    KeyPair{"block_count", "n_layer"},
    KeyPair{"embedding_length", "n_embd"},
    KeyPair{"feed_forward_length", "n_inner"},
    KeyPair{"attention.head_count", "n_head"},
    KeyPair{"attention.layer_norm_epsilon", "layer_norm_epsilon"},
};
constexpr std::array kBloomKeys = {
    KeyPair{"context_length", "seq_length"},
    KeyPair{"block_count", "n_layer"},
    KeyPair{"embedding_length", "hidden_size"},
    KeyPair{"attention.head_count", "n_head"},
    KeyPair{"attention.layer_norm_epsilon", "layer_norm_epsilon"},
};

constexpr std::array kLlamaBiases = {
    BiasFlag{"attention_bias", "blk.0.attn_q.bias"},
    BiasFlag{"mlp_bias", "blk.0.ffn_up.bias"},
};
constexpr std::array kQwen3Biases = {BiasFlag{"attention_bias", "blk.0.attn_q.bias"}};
constexpr std::array kGptNeoxBiases = {BiasFlag{"attention_bias", "blk.0.attn_qkv.bias"}};

// Mistral and other models of LLaMA's shape are also called "llama". "llama" knows no windows.
constexpr std::array kArchitectures = {
    Architecture{"bloom", "bloom", kBloomKeys},
    Architecture{"gpt2", "gpt2", kGpt2Keys},
    Architecture{"gptneox", "gpt_neox", kGptNeoxKeys, GgufHeads::kAsTheyAre, kGptNeoxBiases},
    Architecture{"llama", "llama", kLlamaKeys, GgufHeads::kInterleaved, kLlamaBiases},
    Architecture{"qwen2", "qwen2", kLlamaKeys},
    Architecture{"qwen3", "qwen3", kLlamaKeys, GgufHeads::kAsTheyAre, kQwen3Biases},
};

// A key that changes the result unless it has one of these values.
struct NeutralKey {
  std::string_view gguf;
  double neutral;
  double also_neutral;
};
constexpr std::array kNeutralKeys = {
    NeutralKey{"attention.causal", 1, 1},
    NeutralKey{"attention.clamp_kqv", 0, 0},
    NeutralKey{"attention.scale", 0, 0},
    NeutralKey{"attn_logit_softcapping", 0, 0},
    NeutralKey{"embedding_scale", 0, 1},
    NeutralKey{"expert_count", 0, 0},
    NeutralKey{"final_logit_softcapping", 0, 0},
    NeutralKey{"logit_scale", 0, 1},
    NeutralKey{"residual_scale", 0, 1},
    NeutralKey{"rope.scaling.attn_factor", 1, 1},
    NeutralKey{"rope.scaling.yarn_ext_factor", 1, 1},
    NeutralKey{"rope.scaling.yarn_log_multiplier", 0, 0},
};

// Keys that other code here reads, or that repeat what the tensors say.
constexpr std::array<std::string_view, 18> kOtherKeys = {
    "attention.head_count_kv",
    "attention.key_length",
    "attention.max_alibi_bias",
    "attention.value_length",
    "context_length",
    "expert_used_count",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "vocab_size",
};

constexpr std::array kScalingKeys = {
    KeyPair{"rope.scaling.type", "rope_type"},
    KeyPair{"rope.scaling.original_context_length", "original_max_position_embeddings"},
    KeyPair{"rope.scaling.yarn_beta_fast", "beta_fast"},
    KeyPair{"rope.scaling.yarn_beta_slow", "beta_slow"},
};

std::string KnownArchitectures() {
  std::string names;
  for (const Architecture& known : kArchitectures) {
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  return names;
}

class Describer {
 public:
  explicit Describer(const Checkpoint& checkpoint)
      : checkpoint_(checkpoint), metadata_(checkpoint.metadata()) {}

  Result<ModelDescription> Describe(const Json& generation_config);

 private:
  Status FindArchitecture();
  // The value of the architecture's own key; null if the file lacks it.
  const Json* Find(std::string_view key) const {
    return metadata_.Find(fmt::format("{}.{}", architecture_->name, key));
  }
  Status Refuse(std::string_view key, std::string_view why) const;
  Status CheckNeutralKeys() const;
  void WarnOfOtherKeys() const;
  Json MakeConfig() const;
  Status AddRotation(Json& config) const;
  void AddScaling(Json& config) const;
  void AddTokens(Json& config) const;
  Status ReadRopeDivisors(StackConfig& stack) const;

  const Checkpoint& checkpoint_;
  const Json& metadata_;
  std::string where_;
  const Architecture* architecture_ = nullptr;
};

Status Describer::FindArchitecture() {
  constexpr std::string_view kKey = "general.architecture";
  const Json* value = metadata_.Find(kKey);
  const std::string* name = value == nullptr ? nullptr : value->AsString();
  if (name == nullptr) {
    return {StatusCode::kInvalidArgument,
            fmt::format("{}: {} is missing, or no text", where_, kKey)};
  }
  for (const Architecture& known : kArchitectures) {
    if (known.name == *name) architecture_ = &known;
  }
  if (architecture_ != nullptr) return OkStatus();
  return {StatusCode::kUnsupported,
          fmt::format("{}: {} is {}: of GGUF files dray serves {}", where_, kKey,
                      checkpoint::Quoted(*name), KnownArchitectures())};
}

Status Describer::Refuse(std::string_view key, std::string_view why) const {
  return {StatusCode::kUnsupported, fmt::format("{}: {}.{} is {}: {}", where_, architecture_->name,
                                                key, Find(key)->Dump().substr(0, 80), why)};
}

Status Describer::CheckNeutralKeys() const {
  for (const auto& [key, neutral, also_neutral] : kNeutralKeys) {
    const Json* value = Find(key);
    if (value == nullptr) continue;
    const auto flag = value->AsBool();
    const auto number = flag ? std::optional<double>(*flag ? 1 : 0) : value->AsDouble();
    if (number && (*number == neutral || *number == also_neutral)) continue;
    return Refuse(key, "dray does not compute that");
  }
  return OkStatus();
}

void Describer::WarnOfOtherKeys() const {
  const std::string prefix = std::string(architecture_->name) + ".";
  std::string unread;
  for (const auto& [key, value] : *metadata_.AsObject()) {
    if (!std::string_view(key).starts_with(prefix)) continue;
    const std::string_view own = std::string_view(key).substr(prefix.size());
    const auto is_own = [&](const auto& pair) { return pair.gguf == own; };
    const bool read = std::any_of(architecture_->keys.begin(), architecture_->keys.end(), is_own) ||
                      std::any_of(kNeutralKeys.begin(), kNeutralKeys.end(), is_own) ||
                      std::find(kOtherKeys.begin(), kOtherKeys.end(), own) != kOtherKeys.end();
    if (!read) unread += (unread.empty() ? "" : ", ") + key;
  }
  if (unread.empty()) return;
  LogWarning(
      fmt::format("{}: metadata keys that dray does not know, so that they have no effect: {}",
                  where_, unread));
}

// The vocabulary's size is taken from the token table, since not every file states it.
Json Describer::MakeConfig() const {
  Json config = Json::MakeObject({{"model_type", architecture_->model_type}});
  for (const auto& [gguf, key] : architecture_->keys) {
    if (const Json* value = Find(gguf)) config.Set(key, *value);
  }
  const TensorSource* table = checkpoint_.Find(kGgufTokenTable);
  if (table != nullptr && table->shape.rank() == 2) config.Set("vocab_size", table->shape[0]);
  // Some converters write the token table twice, the second time as the head.
  const TensorSource* head = checkpoint_.Find(kGgufHead);
  const bool same = table != nullptr && head != nullptr && SameStorage(*table, *head);
  config.Set("tie_word_embeddings", same || !checkpoint_.Contains(kGgufHead));
  for (const auto& [key, tensor] : architecture_->biases) {
    config.Set(key, checkpoint_.Contains(tensor));
  }
  return config;
}

Status Describer::AddRotation(Json& config) const {
  const Json* heads = Find("attention.head_count");
  const Json* width = Find("embedding_length");
  const Json* key_length = Find("attention.key_length");
  const Json* value_length = Find("attention.value_length");
  if (value_length != nullptr && key_length != nullptr && *value_length != *key_length) {
    return Refuse("attention.value_length", "dray wants it to be attention.key_length");
  }
  const bool rotates =
      std::any_of(architecture_->keys.begin(), architecture_->keys.end(),
                  [](const KeyPair& pair) { return pair.gguf == "rope.freq_base"; });
  const auto num_heads = heads == nullptr ? std::nullopt : heads->AsInt64();
  const auto hidden = width == nullptr ? std::nullopt : width->AsInt64();
  if (!rotates || !num_heads || !hidden || *num_heads < 1) return OkStatus();
  const int64_t head_dim =
      key_length == nullptr ? *hidden / *num_heads : key_length->AsInt64().value_or(0);
  const Json* rotated = Find("rope.dimension_count");
  const int64_t dims = rotated == nullptr ? head_dim : rotated->AsInt64().value_or(0);
  if (rotated != nullptr && (dims < 1 || dims > head_dim)) {
    return Refuse("rope.dimension_count",
                  fmt::format("it must be from 1 to the heads' size, {}", head_dim));
  }
  // The family rounds the product of this part and head_dim down. The half keeps rounding errors
  // from changing `dims`.
  const double part = (static_cast<double>(dims) + 0.5) / static_cast<double>(head_dim);
  config.Set("partial_rotary_factor", dims == head_dim ? 1.0 : part);
  return OkStatus();
}

// How much longer than in training a context may be. Files of old converters say it under another
// key, and without a type, which was linear then. 0 stands for "not scaled".
void Describer::AddScaling(Json& config) const {
  const Json* type = Find("rope.scaling.type");
  if (type != nullptr && *type == Json("none")) return;
  const Json* factor = Find("rope.scaling.factor");
  if (factor == nullptr) factor = Find("rope.scale_linear");
  if (factor != nullptr && factor->AsDouble() == 0.0) return;
  const bool linear = type == nullptr || *type == Json("linear");
  if (linear && factor == nullptr) return;
  Json scaling = Json::MakeObject();
  for (const auto& [gguf, key] : kScalingKeys) {
    if (const Json* value = Find(gguf)) scaling.Set(key, *value);
  }
  if (linear) scaling.Set("rope_type", "linear");
  if (factor != nullptr) scaling.Set("factor", *factor);
  // Converters write transformers' attention_factor here. They write 1 if the model has none; then
  // it follows from the factor.
  const Json* attention = Find("rope.scaling.yarn_attn_factor");
  const bool yarn = type != nullptr && *type == Json("yarn");
  if (yarn && attention != nullptr && attention->AsDouble() != 1.0) {
    scaling.Set("attention_factor", *attention);
  }
  config.Set("rope_scaling", std::move(scaling));
}

void Describer::AddTokens(Json& config) const {
  if (const auto bos = GgufTokenId(metadata_, "bos", where_)) config.Set("bos_token_id", *bos);
  Json ends = Json::MakeArray();
  for (const int64_t id : GgufEndTokens(metadata_, where_)) ends.Append(id);
  if (!ends.AsArray()->empty()) config.Set("eos_token_id", std::move(ends));
}

Status Describer::ReadRopeDivisors(StackConfig& stack) const {
  if (stack.position != PositionKind::kRotary || !checkpoint_.Contains(kGgufRopeDivisors)) {
    return OkStatus();
  }
  DRAY_ASSIGN_OR_RETURN(const TensorSource* tensor, checkpoint_.Require(kGgufRopeDivisors));
  const Shape expected = {stack.rope.dim / 2};
  if (tensor->blocks != nullptr || tensor->dtype != DType::kF32 || !(tensor->shape == expected)) {
    return {StatusCode::kInvalidArgument, fmt::format("{}: tensor {} must be {} numbers in f32",
                                                      where_, tensor->name, stack.rope.dim / 2)};
  }
  std::vector<float> divisors(static_cast<size_t>(stack.rope.dim / 2));
  std::memcpy(divisors.data(), tensor->data, divisors.size() * sizeof(float));
  const bool usable = std::all_of(divisors.begin(), divisors.end(),
                                  [](float divisor) { return divisor > 0 && divisor < 1e9f; });
  if (!usable) {
    return {StatusCode::kInvalidArgument,
            fmt::format("{}: tensor {} holds numbers that are not between 0 and 1e9", where_,
                        tensor->name)};
  }
  stack.rope.frequency_divisors = std::move(divisors);
  return OkStatus();
}

Result<ModelDescription> Describer::Describe(const Json& generation_config) {
  where_ = checkpoint_.files().front().string();
  DRAY_RETURN_IF_ERROR(FindArchitecture());
  DRAY_RETURN_IF_ERROR(CheckNeutralKeys());
  Json config = MakeConfig();
  DRAY_RETURN_IF_ERROR(AddRotation(config));
  AddScaling(config);
  AddTokens(config);
  DRAY_ASSIGN_OR_RETURN(ModelDescription model,
                        DescribeModel(where_ + ": read as ", config, generation_config));
  WarnOfOtherKeys();
  model.gguf_config = std::move(config);
  model.weights = GgufRows(*model.family, architecture_->heads);
  model.prefixes = {};
  // Some models called "llama" have biases on queries, keys and values, but not on attention's
  // output.
  if (model.config.stack.attention_out_bias) {
    model.config.stack.attention_out_bias = checkpoint_.Contains("blk.0.attn_output.bias");
  }
  DRAY_RETURN_IF_ERROR(ReadRopeDivisors(model.config.stack));
  return model;
}

}  // namespace

Result<ModelDescription> DescribeGguf(const Checkpoint& checkpoint, const Json& generation_config) {
  return Describer(checkpoint).Describe(generation_config);
}

}  // namespace dray::model
