// What the families' readers share: limits of sizes, names of activations, and the small
// derivations that are the same in all of them.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "model/config/config_reader.h"
#include "model/config/model_config.h"

namespace dray::model {

// The largest sizes that a config.json may ask for. They are far above those of any model, and so
// low that the product of any three of them fits an int64_t.
inline constexpr int64_t kMaxLayers = 4096;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxHeadDim = 4096;
inline constexpr int64_t kMaxHidden = int64_t{1} << 20;
inline constexpr int64_t kMaxFfn = int64_t{1} << 22;
inline constexpr int64_t kMaxVocab = 2'000'000;
inline constexpr int64_t kMaxPositions = int64_t{1} << 27;

// The names and defaults of the sizes that every model has.
struct SizeKeys {
  KeyAndSynonym hidden;
  KeyAndSynonym num_layers;
  KeyAndSynonym num_heads;
  int64_t default_vocab = 0;
  int64_t default_hidden = 0;
  int64_t default_layers = 0;
  int64_t default_heads = 0;
};

// Fills vocab_size, hidden, embed_dim (= hidden), num_layers, num_heads and num_kv_heads
// (= num_heads).
Status ReadSizes(ConfigReader& reader, const SizeKeys& keys, ModelConfig& config);

// Sets head_dim to hidden / num_heads, which must be a whole number.
Status SetHeadDim(const ConfigReader& reader, const SizeKeys& keys, StackConfig& stack);

// Fills norm_eps from `key`.
Status ReadNormEps(ConfigReader& reader, std::string_view key, double default_value,
                   StackConfig& stack);

// Fills activation from `key`, whose value is a name that transformers uses.
Status ReadActivation(ConfigReader& reader, std::string_view key, std::string_view default_name,
                      StackConfig& stack);

// Fills activation from such a name, which is the value of `key` or a part of it.
Status ParseActivation(const ConfigReader& reader, std::string_view key, std::string_view name,
                       StackConfig& stack);

// Sets every layer's attention_scale to 1 / sqrt(head_dim), and its window to none.
void SetPlainAttention(StackConfig& stack);

// Conditions of WeightRow::present.
bool HasUntiedHead(const ModelConfig& config);
bool HasHeadBias(const ModelConfig& config);
bool HasQkvBias(const ModelConfig& config);
bool HasAttentionOutBias(const ModelConfig& config);
bool HasFfnBias(const ModelConfig& config);

}  // namespace dray::model
