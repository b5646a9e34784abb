// What a stack of transformer layers is: every choice and size that their forward pass needs. A
// family's reader fills it from config.json. No field names a family: two families that compute the
// same have equal configurations.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/options.h"

namespace dray::model {

using kernels::Activation;
using kernels::AttentionMask;
using kernels::NormKind;
using kernels::RopeStyle;

// The place of a layer's norms; x is the residual stream, f is attention or feed-forward.
enum class NormPlacement : uint8_t {
  kPre,   // x + f(norm(x))
  kPost,  // norm(x + f(x))
};

// How attention and feed-forward are joined in a layer.
enum class ResidualForm : uint8_t {
  kSequential,        // x += attention(norm1 x); x += ffn(norm2 x)
  kParallelOneNorm,   // n = norm1 x; x += attention(n) + ffn(n)
  kParallelTwoNorms,  // x += attention(norm1 x) + ffn(norm2 x)
};

enum class PositionKind : uint8_t { kNone, kLearned, kRotary, kAlibi, kRelative };

// How rotary frequencies are stretched beyond the trained context.
enum class RopeScaling : uint8_t { kNone, kLinear, kDynamic, kLlama3, kYarn };

struct RopeConfig {
  RopeStyle style = RopeStyle::kHalf;
  int64_t dim = 0;  // even, <= head_dim
  // Pair i turns by base^(-2i / exponent_dim). exponent_dim equals dim, except that it is dim - 1
  // if a configuration asks for an odd number of dimensions; dim then includes one more.
  int64_t exponent_dim = 0;
  double base = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  int64_t original_max_positions = 0;  // the context that the unscaled model was trained for
  double low_freq_factor = 1.0;        // llama3
  double high_freq_factor = 4.0;       // llama3
  double beta_fast = 32.0;             // yarn
  double beta_slow = 1.0;              // yarn
  bool truncate = true;                // yarn: correction range rounded to whole dimensions
  double attention_factor = 1.0;       // cosines and sines are multiplied by it
  // [dim / 2]: numbers by which the pairs' frequencies are divided, in addition to `scaling`. May
  // be empty.
  std::vector<float> frequency_divisors;

  bool operator==(const RopeConfig&) const = default;
};

// Relative positions as T5 has them: scores have a learned number for each head and bucket of distances
// (forward/relative_bias.h). All layers share one table.
struct RelativePositions {
  int64_t num_buckets = 32;
  int64_t max_distance = 128;  // from here on, all distances of a direction share a bucket

  bool operator==(const RelativePositions&) const = default;
};

struct StackConfig {
  int64_t hidden = 0;  // width of the residual stream
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn = 0;
  // The limit of prompt and new tokens together: the rows of a learned position table, else the
  // context that the configuration states. families/rope_config.h has the rules for stretched rope.
  int64_t max_positions = 0;

  NormKind norm = NormKind::kLayerNorm;
  float norm_eps = 1e-5f;
  bool norm_affine = true;  // norms have weights
  bool norm_bias = true;    // and biases
  NormPlacement norm_placement = NormPlacement::kPre;
  ResidualForm residual = ResidualForm::kSequential;
  // The residual stream is the norm's output (BLOOM's post-layernorm residual).
  bool residual_after_norm = false;
  bool embedding_norm = false;
  bool final_norm = true;
  bool qk_norm = false;  // RMS norm of each query and key head before rotation

  PositionKind position = PositionKind::kRotary;
  int64_t position_offset = 0;  // learned: position p reads row p + offset
  // Rows of the table of token types, one of which is added to each token; 0: there is none.
  int64_t num_token_types = 0;
  // The token that has no position, as RoBERTa counts them: it reads the row before the first
  // position, and the tokens behind it count on as if it were not there.
  std::optional<int32_t> unplaced_token = std::nullopt;
  RopeConfig rope;
  std::vector<float> alibi_slopes;  // kAlibi: one for each head
  RelativePositions relative;       // kRelative

  AttentionMask mask = AttentionMask::kCausal;
  // [layer]: the factor of the scores.
  std::vector<float> attention_scale;
  // [layer]: how many tokens a token sees, itself included; 0: all.
  std::vector<int64_t> window;

  Activation activation = Activation::kGelu;
  bool gated = false;  // activation(gate x) * (up x)
  bool qkv_bias = false;
  bool attention_out_bias = false;
  bool ffn_bias = false;
  // Between its attention and its feed-forward part, a layer attends to the states of an encoder. Of
  // layers with norms before sequential parts only.
  bool cross_attention = false;

  bool operator==(const StackConfig&) const = default;

  int64_t query_width() const { return num_heads * head_dim; }
  int64_t kv_width() const { return num_kv_heads * head_dim; }
  int64_t qkv_width() const { return query_width() + 2 * kv_width(); }
};

}  // namespace dray::model
