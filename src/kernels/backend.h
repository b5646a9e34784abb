// The one public table of operations. A backend owns a device's memory and runs every
// operation on it; engine, model and sampling code see only this class, so a second device is
// a second implementation.
//
// Pointers in argument structs are addresses of the backend's device. Activations are f32,
// row-major; a stride is the distance between rows in elements. Operations run in the order of the
// calls; on devices that run behind the caller, CopyToHost waits.
//
// Numbers: sums are accumulated in f32, in an order fixed by the shapes of weights and context
// alone. A row's result is bitwise the same whatever other rows share the call, however a prompt is
// cut into calls, and however many threads there are.
//
// Threads: one caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kernels/weight_matrix.h"
#include "tensor/buffer.h"
#include "tensor/dtype.h"

namespace dray::kernels {

// Element-wise functions of the feed-forward layer. kGelu is the exact form (erf), kGeluTanh the
// tanh approximation.
enum class Activation : uint8_t { kNone, kRelu, kGelu, kGeluTanh, kSilu };

enum class NormKind : uint8_t {
  kLayerNorm,  // (x - mean) / sqrt(variance + eps) * weight + bias
  kRmsNorm,    // x / sqrt(mean(x^2) + eps) * weight
};

// Which dimensions of a head are rotated together: (i, i + rotary_dim / 2), or (2i, 2i + 1).
enum class RopeStyle : uint8_t { kHalf, kInterleaved };

// Whether an operation replaces its output or adds to it.
enum class WriteMode : uint8_t { kOverwrite, kAdd };

// out[t, :] (=|+=) row ids[t] of the table.
struct EmbedArgs {
  const WeightMatrix* table = nullptr;  // [num_rows, hidden]
  const int32_t* ids = nullptr;         // [num_tokens], each in [0, num_rows)
  int64_t num_tokens = 0;
  float* out = nullptr;  // [num_tokens, hidden]
  WriteMode mode = WriteMode::kOverwrite;
};

// How a vector is normalised, over all of its elements.
struct VectorNorm {
  NormKind kind = NormKind::kLayerNorm;
  const float* weight = nullptr;  // [elements]; null: all one
  const float* bias = nullptr;    // [elements]; null: all zero
  float eps = 1e-5f;
};

// Normalises rows of `cols` elements; `out` may be `x`.
struct NormArgs {
  VectorNorm norm;
  const float* x = nullptr;
  int64_t x_stride = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
  int64_t rows = 0;
  int64_t cols = 0;
};

// With y = norm(x[m, :]) * weight^T + bias: out[m, :] (=|+=) activation(y). If it is gated, y is
// gates, then as many values, and out[m, i] = activation(gate i) * value i. `out` must
// not overlap `x`.
struct LinearArgs {
  const WeightMatrix* weight = nullptr;  // [out_features, in_features]
  const VectorNorm* norm = nullptr;      // null: none
  const float* x = nullptr;              // [rows, in_features]
  int64_t x_stride = 0;
  int64_t rows = 0;
  const float* bias = nullptr;  // [out_features]; null: none
  Activation activation = Activation::kNone;
  bool gated = false;
  WriteMode mode = WriteMode::kOverwrite;  // must be that if it is gated
  float* out = nullptr;                    // [rows, out_features], gated: [rows, out_features / 2]
  int64_t out_stride = 0;
};

// One layer's part of the paged cache. A block holds block_size tokens of every key/value head; how
// those of one head lie in it is the backend's affair. At first all of it is zero. What a value
// cannot be, being too large or no number, is stored as the largest one: values are finite.
struct KvLayer {
  void* keys = nullptr;       // [num_blocks, num_kv_heads, block_size * head_dim]
  void* values = nullptr;     // [num_blocks, num_kv_heads, block_size * head_dim]
  DType dtype = DType::kF32;  // f32, f16, bf16 or i8
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t block_size = 0;  // a multiple of 16
  // i8 only: a key is its integers, -127 ... 127, times the scale of its token and head, which is
  // its largest magnitude over 127; a value likewise.
  float* key_scales = nullptr;    // [num_blocks, num_kv_heads, block_size]
  float* value_scales = nullptr;  // [num_blocks, num_kv_heads, block_size]
};

// What becomes of projected heads: queries and keys are normalised and rotated, the queries in
// place; keys and values go to the cache.
struct RopeAndCacheArgs {
  float* qkv = nullptr;  // [num_tokens, (num_heads + 2 * num_kv_heads) * head_dim]: q heads, k
                         // heads, v heads
  int64_t qkv_stride = 0;
  int64_t num_tokens = 0;
  int64_t num_heads = 0;
  const VectorNorm* query_norm = nullptr;  // of each head; null: none
  const VectorNorm* key_norm = nullptr;
  RopeStyle style = RopeStyle::kHalf;
  int64_t rotary_dim = 0;  // even; 0: no rotation. Dimensions from rotary_dim on pass through.
  const float* cos_sin =
      nullptr;  // [table_rows, rotary_dim]: rotary_dim / 2 cosines, then as many sines
  const int32_t* table_rows = nullptr;  // [num_tokens]: each token's row of cos_sin
  const int32_t* slots = nullptr;       // [num_tokens]: block id * block_size + offset in the block
  KvLayer cache;
};

// The rows of one sequence in a ragged batch.
struct AttentionSequence {
  int32_t first_row = 0;  // of q and out
  int32_t num_rows = 0;   // new tokens: positions context_tokens - num_rows ... context_tokens - 1
  int32_t context_tokens = 0;  // tokens in the cache, the new ones included
  int32_t table_offset = 0;    // where this sequence's block ids start in block_tables
};

// Causal attention of new tokens over their sequence's cache, where theirs are already. Queries and
// the weights of values are rounded to bf16 if the cache is bf16, and to 16 bits if it is i8.
struct AttentionArgs {
  const float* q = nullptr;  // [rows, num_heads * head_dim]
  int64_t q_stride = 0;
  float* out = nullptr;  // [rows, num_heads * head_dim]
  int64_t out_stride = 0;
  int64_t num_heads =
      0;  // a multiple of cache.num_kv_heads; query head h reads key head h / (ratio)
  KvLayer cache;
  const AttentionSequence* sequences = nullptr;  // [num_sequences]
  int64_t num_sequences = 0;
  const int32_t* block_tables = nullptr;
  float scale = 1.0f;
  const float* alibi_slopes =
      nullptr;         // [num_heads]; adds slope * key position to a score; null: none
  int64_t window = 0;  // a token sees the last `window` tokens, itself included; 0: all
};

// out[i, :] = x[rows[i], :]
struct GatherRowsArgs {
  const float* x = nullptr;
  int64_t x_stride = 0;
  const int32_t* rows = nullptr;  // [num_rows]
  int64_t num_rows = 0;
  int64_t cols = 0;
  float* out = nullptr;  // [num_rows, cols], dense
};

// Copies whole blocks within one layer's cache, for sequences that part from a shared block.
struct CopyBlocksArgs {
  KvLayer cache;
  const int32_t* from = nullptr;  // host memory, [num_copies]
  const int32_t* to = nullptr;    // host memory, [num_copies]
  int64_t num_copies = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Between these calls the device belongs to this caller, if several backends share it: one step
  // of a model, of `num_tokens` tokens, for which the backend may choose how many threads it takes.
  // An operation outside of a step takes the device for itself.
  virtual void BeginStep(int64_t num_tokens) = 0;
  virtual void EndStep() = 0;
  // Called by a thread that from now on does little but call this backend.
  virtual void AdoptThread() = 0;

  // For people and reports: "cpu avx512-bf16, 2 threads".
  virtual std::string Describe() const = 0;
  // The instruction set or device generation that really runs: "avx2", "sm_90".
  virtual std::string_view isa() const = 0;
  virtual Allocator& allocator() = 0;

  // Copies between the host and this device's memory.
  virtual void CopyFromHost(void* device_dst, const void* host_src, size_t bytes) = 0;
  virtual void CopyToHost(void* host_dst, const void* device_src, size_t bytes) = 0;

  // The best storage format of this backend for weights that a checkpoint holds as `dtype`.
  virtual WeightFormat NativeFormat(DType dtype) const = 0;
  virtual Result<WeightMatrix> AllocateMatrix(const MatrixSpec& spec) = 0;
  // Converts a block of host rows into rows [first_row, first_row + source.rows) of `matrix`.
  virtual void PackRows(WeightMatrix& matrix, int64_t first_row, const SourceRows& source) = 0;
  // The same for `rows` of a source of integers, which the backend unpacks on all of its threads, a
  // few rows at a time. Where the matrix holds them (weight_matrix.h) they are not rounded again;
  // elsewhere they are packed as the floats that they stand for.
  virtual void PackQuantizedRows(WeightMatrix& matrix, int64_t first_row,
                                 const QuantizedSource& source, std::span<const int64_t> rows) = 0;

  virtual void Embed(const EmbedArgs& args) = 0;
  virtual void Norm(const NormArgs& args) = 0;
  virtual void Linear(const LinearArgs& args) = 0;
  // Linear, of which `out` is heads.qkv, and what becomes of the heads.
  virtual void QkvLinear(const LinearArgs& linear, const RopeAndCacheArgs& heads) = 0;
  virtual void Attention(const AttentionArgs& args) = 0;
  virtual void GatherRows(const GatherRowsArgs& args) = 0;
  virtual void CopyBlocks(const CopyBlocksArgs& args) = 0;
  // Copies within the device.
  virtual void Copy(void* dst, const void* src, size_t bytes) = 0;
};

struct CpuBackendOptions {
  int num_threads = 0;  // 0: one for each processor that this process may use
  // "", or one of portable, avx2, avx512, avx512-bf16; empty asks the environment (DRAY_ISA), then
  // the processor.
  std::string isa;
  // Of steps of many tokens, which are bound by arithmetic instead of memory; 0: num_threads.
  int num_prompt_threads = 0;
  // Threads stay on their processors if they take all of them, else on their memory node.
  bool pin_threads = true;
};

// One step of a model.
class StepTurn {
 public:
  StepTurn(Backend& backend, int64_t num_tokens) : backend_(backend) {
    backend_.BeginStep(num_tokens);
  }
  StepTurn(const StepTurn&) = delete;
  StepTurn& operator=(const StepTurn&) = delete;
  ~StepTurn() { backend_.EndStep(); }

 private:
  Backend& backend_;
};

// The host's processors. kUnsupported, naming what there is, if a forced instruction set is unknown
// or missing.
Result<std::unique_ptr<Backend>> MakeCpuBackend(const CpuBackendOptions& options);

}  // namespace dray::kernels
