// The table of operations: their arguments, and the interface that runs them on a device.
//
// Pointers in arguments are device addresses unless they are said to be host memory. Operations run
// in the order of the calls, perhaps after the call has returned (backend.h says how long what
// arguments name must live). An operation that a device cannot run, or whose arguments it does not
// support, makes the step fail; nothing is returned here.
//
// Numbers: sums are accumulated in f32, in an order that only the shapes of weights and context
// decide. A row's result is bitwise the same whatever other rows share the call, however a prompt
// is cut into calls, and however many threads there are.
#pragma once

#include <cstdint>

#include "kernels/options.h"
#include "kernels/weight_matrix.h"
#include "tensor/dtype.h"

namespace dray::kernels {

// Rows of activations that an operation writes: row r starts r * stride elements behind `data`.
struct Activations {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t stride = 0;

  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

// Rows of activations that an operation reads.
struct ConstActivations {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t stride = 0;

  ConstActivations() = default;
  ConstActivations(const void* rows, DType type, int64_t row_stride)
      : data(rows), dtype(type), stride(row_stride) {}
  ConstActivations(const Activations& rows)  // NOLINT(google-explicit-constructor): a conversion
      : data(rows.data), dtype(rows.dtype), stride(rows.stride) {}

  template <typename T>
  const T* as() const {
    return static_cast<const T*>(data);
  }
};

// out[t, :] (=|+=) row ids[t] of the table.
struct EmbedArgs {
  const WeightMatrix* table = nullptr;  // [num_rows, hidden]
  const int32_t* ids = nullptr;         // [num_tokens], in [0, num_rows), or -1: a row of zeros
  int64_t num_tokens = 0;
  Activations out = {};  // [num_tokens, hidden]
  WriteMode mode = WriteMode::kOverwrite;
};

// How a vector is normalised over all of its elements.
struct VectorNorm {
  NormKind kind = NormKind::kLayerNorm;
  const float* weight = nullptr;  // [elements]; null: all one
  const float* bias = nullptr;    // [elements]; null: all zero
  float eps = 1e-5f;
};

// Normalises rows of `cols` elements; `out` may be `x`.
struct NormArgs {
  VectorNorm norm = {};
  ConstActivations x = {};  // [rows, cols]
  Activations out = {};     // [rows, cols]
  int64_t rows = 0;
  int64_t cols = 0;
};

// With y = norm(x[m, :]) * weight^T + bias: out[m, :] (=|+=) activation(y). If the layer is gated,
// the first half of y are gates and the second half values, and
// out[m, i] = activation(gate i) * value i. `out` must not overlap `x`.
struct LinearArgs {
  const WeightMatrix* weight = nullptr;  // [out_features, in_features]
  const VectorNorm* norm = nullptr;      // host memory; null: none
  ConstActivations x = {};               // [rows, in_features]
  int64_t rows = 0;
  const float* bias = nullptr;  // [out_features]; null: none
  Activation activation = Activation::kNone;
  bool gated = false;
  WriteMode mode = WriteMode::kOverwrite;  // always kOverwrite if the layer is gated
  Activations out = {};                    // [rows, out_features], gated: [rows, out_features / 2]
};

// One layer's part of the paged cache. A block holds block_size tokens of every key/value head; the
// backend decides how the tokens of one head lie in it. The cache begins as zeros. A value that is
// too large for `dtype`, or not a number, is stored as the largest number: values are finite.
struct KvLayer {
  void* keys = nullptr;       // [num_blocks, num_kv_heads, block_size * head_dim]
  void* values = nullptr;     // [num_blocks, num_kv_heads, block_size * head_dim]
  DType dtype = DType::kF32;  // f32, f16, bf16 or i8
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t block_size = 0;  // a multiple of 16
  // i8 only. The key of one token and head is stored as integers from -127 to 127 and one scale,
  // its largest magnitude over 127; a value is stored the same way.
  float* key_scales = nullptr;    // [num_blocks, num_kv_heads, block_size]
  float* value_scales = nullptr;  // [num_blocks, num_kv_heads, block_size]
  // From a block to the next one in each of these arrays, in sizes of a block; 1: nothing lies between them.
  int64_t block_step = 1;
};

// What happens to projected heads: queries and keys are normalised and rotated, the queries in
// place; keys and values are written to the cache.
struct RopeAndCacheArgs {
  // [num_tokens, (num_heads + 2 * num_kv_heads) * head_dim]: query heads, key heads, value heads
  Activations qkv = {};
  int64_t num_tokens = 0;
  int64_t num_heads = 0;
  const VectorNorm* query_norm = nullptr;  // of each head; host memory; null: none
  const VectorNorm* key_norm = nullptr;    // of each head; host memory; null: none
  RopeStyle style = RopeStyle::kHalf;
  int64_t rotary_dim = 0;  // even; 0: no rotation. Dimensions from rotary_dim on pass through.
  // [table_rows, rotary_dim]: rotary_dim / 2 cosines, then as many sines
  const float* cos_sin = nullptr;
  const int32_t* table_rows = nullptr;  // [num_tokens]: each token's row of cos_sin
  const int32_t* slots = nullptr;       // [num_tokens]: block id * block_size + offset in the block
  KvLayer cache = {};
};

// The rows of one sequence in a ragged batch.
struct AttentionSequence {
  int32_t first_row = 0;  // of q and out
  // New tokens: their positions are [context_tokens - num_rows, context_tokens).
  int32_t num_rows = 0;
  int32_t context_tokens = 0;  // tokens in the cache, the new ones included
  int32_t table_offset = 0;    // where this sequence's block ids start in block_tables
  int32_t first_token = 0;     // no token sees those before this one; below context_tokens
};

// Numbers that are added to scores: one for each head and distance from the query to the key.
struct RelativeBias {
  // Entries at both ends that repeat the last one, so that a kernel may read several at once.
  static constexpr int64_t kMargin = 16;

  // [num_heads, stride()]; null: none. Entry reach + kMargin + d of a head is for a key that lies d
  // tokens behind the query (before it, if d is negative). Beyond `reach`, on either side, all
  // entries are that of the reach.
  const float* values = nullptr;
  int64_t reach = 0;

  int64_t stride() const { return 2 * (reach + kMargin) + 1; }
};

// Attention of new tokens over their sequence's cache, which holds their own keys and values
// already. Queries and the weights of values are rounded to bf16 if the cache is bf16, and to 16
// bits if it is i8.
struct AttentionArgs {
  ConstActivations q = {};  // [rows, num_heads * head_dim]
  Activations out = {};     // [rows, num_heads * head_dim]
  // A multiple of cache.num_kv_heads: query head h reads key head h / (num_heads / num_kv_heads).
  int64_t num_heads = 0;
  KvLayer cache = {};
  const AttentionSequence* sequences = nullptr;  // [num_sequences]
  int64_t num_sequences = 0;
  const int32_t* block_tables = nullptr;
  AttentionMask mask = AttentionMask::kCausal;
  float scale = 1.0f;
  // [num_heads]: slope * key position is added to each score; null: none
  const float* alibi_slopes = nullptr;
  RelativeBias relative_bias = {};
  // A token sees the last `window` tokens, itself included; 0: all. Always 0 with a full mask.
  int64_t window = 0;
};

// out[i, :] = x[rows[i], :]
struct GatherRowsArgs {
  ConstActivations x = {};        // [any, cols]
  const int32_t* rows = nullptr;  // [num_rows]
  int64_t num_rows = 0;
  int64_t cols = 0;
  Activations out = {};  // [num_rows, cols]
};

// Copies whole blocks within one layer's cache, one after the other, for sequences that part from a
// shared block.
struct CopyBlocksArgs {
  KvLayer cache = {};
  const int32_t* from = nullptr;  // host memory, [num_copies]
  const int32_t* to = nullptr;    // host memory, [num_copies]
  int64_t num_copies = 0;
};

// Threads: one caller at a time.
class Ops {
 public:
  virtual ~Ops() = default;

  virtual void Embed(const EmbedArgs& args) = 0;
  virtual void Norm(const NormArgs& args) = 0;
  virtual void Linear(const LinearArgs& args) = 0;
  // Runs Linear, whose output is heads.qkv, and then what RopeAndCacheArgs says with the heads.
  virtual void QkvLinear(const LinearArgs& linear, const RopeAndCacheArgs& heads) = 0;
  virtual void Attention(const AttentionArgs& args) = 0;
  virtual void GatherRows(const GatherRowsArgs& args) = 0;
  virtual void CopyBlocks(const CopyBlocksArgs& args) = 0;
};

}  // namespace dray::kernels
