// The shape of a model as a plan sees it: which weights each rank holds, what they are multiplied
// with, and what its attention keeps. A shape has no weights; it is made from a configuration.
// Decoders that dray runs are described by their family's table (decoder_shape.h), encoder-decoder
// models by a reader of their own (t5_shape.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/weight_matrix.h"
#include "parallel/shard.h"
#include "tensor/dtype.h"

namespace dray::plan {

// When a weight is multiplied with a token, or read for it.
enum class WeightUse : uint8_t {
  kLookup,  // a table, of which each token reads a row
  kInput,   // once for each token of the input: an encoder, keys and values of cross-attention
  kToken,   // for each token that the decoder computes
  kLogits,  // for each token whose logits are computed
};

// A weight as one rank holds it, the same in `layers` layers.
struct WeightShare {
  std::string_view name;
  WeightUse use = WeightUse::kToken;
  // Layers of the rank that have the weight; 1 for weights outside of the layers.
  int64_t layers = 1;
  bool in_layers = false;  // stored in the format of layers, not in that of tables
  bool is_matrix = true;   // else a vector of `rows` f32 numbers, whose `cols` is 1
  int64_t rows = 0;        // padding included
  int64_t cols = 0;
  // The first one in the whole matrix. Groups of columns with one scale must begin with the rank's columns.
  int64_t first_col = 0;
  // Elements of the model among rows * cols; the others are padding.
  int64_t model_elements = 0;
  bool is_replicated = false;  // every rank of the stage holds all of it
  // How the checkpoint's files store the matrix; absent: there are no files.
  std::optional<kernels::WeightForm> stored = std::nullopt;

  int64_t elements() const { return rows * cols; }
};

// Which tokens a token sees.
enum class AttentionKind : uint8_t {
  kCausal,         // those before it, from a cache
  kBidirectional,  // all of the input, without a cache
  kCross,          // all of the input, from a cache that the input fills
};

// The attention of one rank in all of its layers of one stack.
struct AttentionShare {
  AttentionKind kind = AttentionKind::kCausal;
  int64_t num_heads = 0;  // padding included
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  std::vector<int64_t> windows;  // [layer]: how many tokens a token sees; 0: all

  int64_t query_width() const { return num_heads * head_dim; }
};

// What one rank holds and computes.
struct RankShare {
  std::vector<WeightShare> weights;
  std::vector<AttentionShare> attention;
  // f32 numbers of working memory for each token of a step, and for each row of logits.
  int64_t numbers_per_token = 0;
  int64_t numbers_per_logit_row = 0;
};

// The residual stream of one stack of layers, to which the ranks of a stage add their parts.
struct StreamShape {
  bool is_encoder = false;
  int64_t num_layers = 0;
  int64_t hidden = 0;
  int64_t embed_dim = 0;  // width of the token table, whose rows are added up first
  int64_t sums_per_layer = 0;
};

struct ShapeFacts {
  std::string name;    // for people: "bloom-176b"
  std::string family;  // its model_type
  int64_t parameters = 0;
  int64_t vocab_size = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t max_positions = 0;
  // The format of the weights according to the configuration.
  std::optional<DType> dtype;
  // According to the weights' files: the format of most numbers, that of matrices outside of the layers, and the
  // size of the files. Absent and 0 if there are none.
  std::optional<kernels::WeightFormat> stored_format = std::nullopt;
  std::optional<kernels::WeightFormat> stored_table_format = std::nullopt;
  double checkpoint_bytes = 0;
  // In the order in which they compute. The last one is the decoder, which makes the logits.
  std::vector<StreamShape> streams;

  const StreamShape& decoder() const { return streams.back(); }
  bool has_encoder() const { return streams.size() > 1; }
  // The most stages of a pipeline: every stage has a layer of every stack.
  int64_t max_stages() const;
};

class ModelShape {
 public:
  virtual ~ModelShape() = default;

  const ShapeFacts& facts() const { return facts_; }
  void SetName(std::string name) { facts_.name = std::move(name); }

  // What a rank of a stage holds. `rank.world` is at most the number of heads, `stage.count` at most
  // max_stages().
  virtual RankShare ShareOf(parallel::Rank rank, parallel::Stage stage) const = 0;

 protected:
  explicit ModelShape(ShapeFacts facts) : facts_(std::move(facts)) {}

 private:
  ShapeFacts facts_;
};

}  // namespace dray::plan
