// What the families' readers share: limits of sizes, activation names, and the small derivations
// that are the same everywhere. Separate so that a family's file holds only what is its own.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "model/config/config.h"
#include "model/config/config_reader.h"

namespace dray::model {

// The largest sizes that a config.json may ask for: far above any model, and low enough that
// products of any three of them fit an int64_t.
inline constexpr int64_t kMaxLayers = 4096;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxHeadDim = 4096;
inline constexpr int64_t kMaxHidden = int64_t{1} << 20;
inline constexpr int64_t kMaxFfn = int64_t{1} << 22;
inline constexpr int64_t kMaxVocab = 2'000'000;
inline constexpr int64_t kMaxPositions = int64_t{1} << 27;

// The names and defaults of the sizes that every decoder has.
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
Status ReadSizes(ConfigReader& reader, const SizeKeys& keys, DecoderConfig& config);

// hidden / num_heads, which must be whole.
Status SetHeadDim(const ConfigReader& reader, const SizeKeys& keys, DecoderConfig& config);

// Fills norm_eps from `key`.
Status ReadNormEps(ConfigReader& reader, std::string_view key, double default_value,
                   DecoderConfig& config);

// Fills activation from `key`, by transformers' names.
Status ReadActivation(ConfigReader& reader, std::string_view key, std::string_view default_name,
                      DecoderConfig& config);

// 1 / sqrt(head_dim) for every layer, and no window.
void SetPlainAttention(DecoderConfig& config);

// Conditions of WeightRow::present.
bool HasUntiedHead(const DecoderConfig& config);
bool HasHeadBias(const DecoderConfig& config);
bool HasQkvBias(const DecoderConfig& config);
bool HasAttentionOutBias(const DecoderConfig& config);
bool HasFfnBias(const DecoderConfig& config);

}  // namespace dray::model
