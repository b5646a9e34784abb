#include "model/families/family_config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>

namespace dray::model {
namespace {

// The names of the tanh form differ only in how many digits of sqrt(2 / pi) they use.
constexpr std::array<std::pair<std::string_view, Activation>, 10> kActivations = {{
    {"gelu", Activation::kGelu},
    {"gelu_python", Activation::kGelu},
    {"gelu_new", Activation::kGeluTanh},
    {"gelu_fast", Activation::kGeluTanh},
    {"gelu_accurate", Activation::kGeluTanh},
    {"gelu_pytorch_tanh", Activation::kGeluTanh},
    {"gelu_python_tanh", Activation::kGeluTanh},
    {"relu", Activation::kRelu},
    {"silu", Activation::kSilu},
    {"swish", Activation::kSilu},
}};

}  // namespace

Status ReadSizes(ConfigReader& reader, const SizeKeys& keys, ModelConfig& config) {
  StackConfig& stack = config.stack;
  DRAY_ASSIGN_OR_RETURN(config.vocab_size,
                        reader.Int("vocab_size", 1, kMaxVocab, keys.default_vocab));
  DRAY_ASSIGN_OR_RETURN(stack.hidden, reader.Int(keys.hidden, 1, kMaxHidden, keys.default_hidden));
  DRAY_ASSIGN_OR_RETURN(stack.num_layers,
                        reader.Int(keys.num_layers, 1, kMaxLayers, keys.default_layers));
  DRAY_ASSIGN_OR_RETURN(stack.num_heads,
                        reader.Int(keys.num_heads, 1, kMaxHeads, keys.default_heads));
  config.embed_dim = stack.hidden;
  stack.num_kv_heads = stack.num_heads;
  return OkStatus();
}

Status SetHeadDim(const ConfigReader& reader, const SizeKeys& keys, StackConfig& stack) {
  if (stack.hidden % stack.num_heads != 0) {
    return reader.Refuse(
        keys.num_heads.key,
        fmt::format("{} heads do not divide the hidden size of {}", stack.num_heads, stack.hidden));
  }
  stack.head_dim = stack.hidden / stack.num_heads;
  if (stack.head_dim > kMaxHeadDim) {
    return reader.Refuse(keys.num_heads.key,
                         fmt::format("heads would have {} dimensions; the limit is {}",
                                     stack.head_dim, kMaxHeadDim));
  }
  return OkStatus();
}

Status ReadNormEps(ConfigReader& reader, std::string_view key, double default_value,
                   StackConfig& stack) {
  stack.norm_eps = static_cast<float>(default_value);
  if (!reader.Has(key)) return OkStatus();
  DRAY_ASSIGN_OR_RETURN(const double eps, reader.Double(key, 0.0, 1.0));
  stack.norm_eps = static_cast<float>(eps);
  return OkStatus();
}

Status ReadActivation(ConfigReader& reader, std::string_view key, std::string_view default_name,
                      StackConfig& stack) {
  DRAY_ASSIGN_OR_RETURN(const std::string name, reader.String(key, default_name));
  return ParseActivation(reader, key, name, stack);
}

Status ParseActivation(const ConfigReader& reader, std::string_view key, std::string_view name,
                       StackConfig& stack) {
  std::string known;
  for (const auto& [candidate, activation] : kActivations) {
    if (name == candidate) {
      stack.activation = activation;
      return OkStatus();
    }
    known += (known.empty() ? "" : ", ") + std::string(candidate);
  }
  return reader.RefuseUnsupported(
      key, fmt::format("dray does not compute that activation; it computes {}", known));
}

void SetPlainAttention(StackConfig& stack) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(stack.head_dim));
  const auto layers = static_cast<size_t>(stack.num_layers);
  stack.attention_scale.assign(layers, static_cast<float>(scale));
  stack.window.assign(layers, 0);
}

bool HasUntiedHead(const ModelConfig& config) { return !config.tied_head; }
bool HasHeadBias(const ModelConfig& config) { return config.head_bias; }
bool HasQkvBias(const ModelConfig& config) { return config.stack.qkv_bias; }
bool HasAttentionOutBias(const ModelConfig& config) { return config.stack.attention_out_bias; }
bool HasFfnBias(const ModelConfig& config) { return config.stack.ffn_bias; }

}  // namespace dray::model
