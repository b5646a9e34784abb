#include "plan/shape/t5_shape.h"

#include <algorithm>
#include <array>
#include <utility>

#include "model/config/config_reader.h"
#include "model/families/family_config.h"

namespace dray::plan {
namespace {

using parallel::CutLayers;
using parallel::Rank;
using parallel::Slice;
using parallel::Stage;

constexpr std::array<std::string_view, 3> kModelTypes = {"mt5", "t5", "umt5"};

struct T5Config {
  std::string family;
  int64_t vocab_size = 0;
  int64_t hidden = 0;
  int64_t num_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn = 0;
  int64_t encoder_layers = 0;
  int64_t decoder_layers = 0;
  int64_t buckets = 0;  // of the relative positions' table
  int64_t max_positions = 0;
  bool gated = false;
  bool tied_head = false;
  bool bias_in_each_layer =
      false;  // a table of relative positions in every layer, not in the first
  std::optional<DType> dtype;
};

// The feed-forward's kind: "relu", "gated-gelu" or "gated-silu". Early FLAN files have a key of
// their own for the gate.
Status ReadGate(model::ConfigReader& reader, T5Config& config) {
  DRAY_ASSIGN_OR_RETURN(const std::string kind, reader.String("feed_forward_proj", "relu"));
  DRAY_ASSIGN_OR_RETURN(config.gated, reader.Bool("is_gated_act", kind.starts_with("gated-")));
  return OkStatus();
}

Status ReadDType(model::ConfigReader& reader, T5Config& config) {
  const std::string_view key = reader.Has("dtype") ? "dtype" : "torch_dtype";
  DRAY_ASSIGN_OR_RETURN(const std::string text, reader.String(key, "float32"));
  const std::optional<DType> dtype = ParseDType(text);
  if (dtype && IsWeightType(*dtype)) config.dtype = dtype;
  return OkStatus();
}

Status ReadSizes(model::ConfigReader& reader, T5Config& config) {
  DRAY_ASSIGN_OR_RETURN(config.vocab_size, reader.Int("vocab_size", 1, model::kMaxVocab, 32128));
  DRAY_ASSIGN_OR_RETURN(config.hidden, reader.Int("d_model", 1, model::kMaxHidden));
  DRAY_ASSIGN_OR_RETURN(config.num_heads, reader.Int("num_heads", 1, model::kMaxHeads));
  DRAY_ASSIGN_OR_RETURN(config.head_dim, reader.Int("d_kv", 1, model::kMaxHeadDim));
  DRAY_ASSIGN_OR_RETURN(config.ffn, reader.Int("d_ff", 1, model::kMaxFfn));
  DRAY_ASSIGN_OR_RETURN(config.encoder_layers, reader.Int("num_layers", 1, model::kMaxLayers));
  DRAY_ASSIGN_OR_RETURN(
      config.decoder_layers,
      reader.Int("num_decoder_layers", 1, model::kMaxLayers, config.encoder_layers));
  DRAY_ASSIGN_OR_RETURN(config.buckets,
                        reader.Int("relative_attention_num_buckets", 1, model::kMaxPositions, 32));
  // Relative positions have no end; n_positions is the length that the model was trained with.
  DRAY_ASSIGN_OR_RETURN(config.max_positions,
                        reader.Int("n_positions", 1, model::kMaxPositions, 512));
  return OkStatus();
}

Result<T5Config> ReadConfig(model::ConfigReader& reader) {
  T5Config config;
  DRAY_ASSIGN_OR_RETURN(config.family, reader.String("model_type", ""));
  config.bias_in_each_layer = config.family == "umt5";
  DRAY_RETURN_IF_ERROR(ReadSizes(reader, config));
  DRAY_RETURN_IF_ERROR(ReadGate(reader, config));
  DRAY_ASSIGN_OR_RETURN(config.tied_head, reader.Bool("tie_word_embeddings", true));
  DRAY_RETURN_IF_ERROR(ReadDType(reader, config));
  return config;
}

// Whether the ranks of a stage divide an axis among them.
enum class Cut : uint8_t { kHeads, kFeatures, kVocabulary, kNone };

struct Axis {
  Cut cut = Cut::kNone;
  int64_t size = 1;
};

// A weight of the whole model.
struct T5Weight {
  std::string_view name;
  WeightUse use = WeightUse::kToken;
  Axis rows;
  Axis cols = {};
  bool is_matrix = true;
};

// The weights of one stack: those of each layer, and those outside of the layers.
class T5Tables {
 public:
  explicit T5Tables(const T5Config& config) : config_(config) {}

  std::vector<T5Weight> EncoderLayer() const {
    std::vector<T5Weight> weights = SelfAttention("encoder.", WeightUse::kInput);
    Append(weights, FeedForward("encoder.", WeightUse::kInput));
    return weights;
  }

  std::vector<T5Weight> DecoderLayer() const {
    std::vector<T5Weight> weights = SelfAttention("decoder.", WeightUse::kToken);
    Append(weights, {Norm("cross_norm", WeightUse::kToken),
                     {"cross_query", WeightUse::kToken, Heads(1), Whole(config_.hidden)},
                     {"cross_key_value", WeightUse::kInput, Heads(2), Whole(config_.hidden)},
                     {"cross_out", WeightUse::kToken, Whole(config_.hidden), Heads(1)}});
    Append(weights, FeedForward("decoder.", WeightUse::kToken));
    return weights;
  }

  // What the stages have beside their layers.
  std::vector<T5Weight> Ends(Stage stage) const {
    std::vector<T5Weight> weights;
    const Axis vocab = {Cut::kVocabulary, config_.vocab_size};
    const bool table_is_head = config_.tied_head && stage.is_last();
    if (stage.is_first() || table_is_head) {
      weights.push_back({"token_embedding", table_is_head ? WeightUse::kLogits : WeightUse::kLookup,
                         vocab, Whole(config_.hidden)});
    }
    if (stage.is_last()) {
      weights.push_back(Norm("encoder.final_norm", WeightUse::kInput));
      weights.push_back(Norm("decoder.final_norm", WeightUse::kToken));
      if (!config_.tied_head) {
        weights.push_back({"head", WeightUse::kLogits, vocab, Whole(config_.hidden)});
      }
    }
    return weights;
  }

  // A table of relative positions, by buckets and heads. Only self-attention has them. Every rank has all heads of it,
  // of which there are few.
  T5Weight PositionTable() const {
    return {"relative_positions", WeightUse::kToken, Whole(config_.num_heads),
            Whole(config_.buckets), false};
  }

 private:
  static Axis Whole(int64_t size) { return {Cut::kNone, size}; }
  static void Append(std::vector<T5Weight>& to, const std::vector<T5Weight>& more) {
    to.insert(to.end(), more.begin(), more.end());
  }
  // The rows of `times` matrices with all heads, one behind the other.
  Axis Heads(int64_t times) const {
    return {Cut::kHeads, times * config_.num_heads * config_.head_dim};
  }
  T5Weight Norm(std::string_view name, WeightUse use) const {
    return {name, use, Whole(config_.hidden), Whole(1), false};
  }

  std::vector<T5Weight> SelfAttention(std::string_view stack, WeightUse use) const {
    const bool encoder = stack == "encoder.";
    return {Norm(encoder ? "encoder.attention_norm" : "decoder.attention_norm", use),
            {encoder ? "encoder.qkv" : "decoder.qkv", use, Heads(3), Whole(config_.hidden)},
            {encoder ? "encoder.attention_out" : "decoder.attention_out", use,
             Whole(config_.hidden), Heads(1)}};
  }

  std::vector<T5Weight> FeedForward(std::string_view stack, WeightUse use) const {
    const bool encoder = stack == "encoder.";
    const Axis in = {Cut::kFeatures, (config_.gated ? 2 : 1) * config_.ffn};
    return {Norm(encoder ? "encoder.ffn_norm" : "decoder.ffn_norm", use),
            {encoder ? "encoder.ffn_in" : "decoder.ffn_in", use, in, Whole(config_.hidden)},
            {encoder ? "encoder.ffn_out" : "decoder.ffn_out",
             use,
             Whole(config_.hidden),
             {Cut::kFeatures, config_.ffn}}};
  }

  const T5Config& config_;
};

int64_t CountOf(const std::vector<T5Weight>& weights) {
  int64_t count = 0;
  for (const T5Weight& weight : weights) count += weight.rows.size * weight.cols.size;
  return count;
}

int64_t PositionTables(const T5Config& config) {
  return config.bias_in_each_layer ? config.encoder_layers + config.decoder_layers : 2;
}

ShapeFacts FactsOf(const T5Config& config) {
  const T5Tables tables(config);
  return {.name = config.family,
          .family = config.family,
          .parameters = CountOf(tables.Ends({})) +
                        config.encoder_layers * CountOf(tables.EncoderLayer()) +
                        config.decoder_layers * CountOf(tables.DecoderLayer()) +
                        PositionTables(config) * CountOf({tables.PositionTable()}),
          .vocab_size = config.vocab_size,
          .num_heads = config.num_heads,
          .num_kv_heads = config.num_heads,
          .max_positions = config.max_positions,
          .dtype = config.dtype,
          .streams = {{.is_encoder = true,
                       .num_layers = config.encoder_layers,
                       .hidden = config.hidden,
                       .embed_dim = config.hidden,
                       .sums_per_layer = 2},
                      {.num_layers = config.decoder_layers,
                       .hidden = config.hidden,
                       .embed_dim = config.hidden,
                       .sums_per_layer = 3}}};
}

class T5Shape final : public ModelShape {
 public:
  explicit T5Shape(T5Config config) : ModelShape(FactsOf(config)), config_(std::move(config)) {}

  RankShare ShareOf(Rank rank, Stage stage) const override {
    const int64_t encoder_layers = CutLayers(config_.encoder_layers, stage).size();
    const int64_t decoder_layers = CutLayers(config_.decoder_layers, stage).size();
    const T5Tables tables(config_);
    RankShare share;
    const auto add = [&](const std::vector<T5Weight>& weights, int64_t layers, bool in_layers) {
      for (const T5Weight& weight : weights) {
        share.weights.push_back(ShareOfWeight(weight, rank));
        share.weights.back().layers = layers;
        share.weights.back().in_layers = in_layers;
      }
    };
    add(tables.Ends(stage), 1, false);
    add(tables.EncoderLayer(), encoder_layers, true);
    add(tables.DecoderLayer(), decoder_layers, true);
    const bool each = config_.bias_in_each_layer;
    if (each || stage.is_first()) {
      add({tables.PositionTable()}, each ? encoder_layers + decoder_layers : 2, true);
    }
    share.attention = {AttentionOf(AttentionKind::kBidirectional, encoder_layers, rank),
                       AttentionOf(AttentionKind::kCausal, decoder_layers, rank),
                       AttentionOf(AttentionKind::kCross, decoder_layers, rank)};
    CountWorkingMemory(rank, stage, share);
    return share;
  }

 private:
  Slice SliceOf(const Axis& axis, Rank rank) const {
    switch (axis.cut) {
      case Cut::kHeads:
        return Widen(CutHeads(config_.num_heads, config_.num_heads, rank).query,
                     axis.size / config_.num_heads);
      case Cut::kFeatures: {
        const Slice features = parallel::CutFeatures(config_.ffn, rank);
        return axis.size == config_.ffn ? features : Join(std::array{features, features});
      }
      case Cut::kVocabulary:
        return parallel::CutVocabulary(axis.size, rank);
      case Cut::kNone:
        break;
    }
    return parallel::Whole(axis.size);
  }

  WeightShare ShareOfWeight(const T5Weight& weight, Rank rank) const {
    const Slice rows = SliceOf(weight.rows, rank);
    Slice cols = SliceOf(weight.cols, rank);
    const auto positions = [](const Slice& slice) {
      int64_t count = 0;
      for (const parallel::Piece& piece : slice.pieces) count += piece.count;
      return count;
    };
    // As in model/weights/slot_slices.h, a matrix has no columns for padding.
    cols.local_size = positions(cols);
    return {.name = weight.name,
            .use = weight.use,
            .is_matrix = weight.is_matrix,
            .rows = rows.local_size,
            .cols = cols.local_size,
            .model_elements = positions(rows) * positions(cols),
            .is_replicated =
                rank.world > 1 && weight.rows.cut == Cut::kNone && weight.cols.cut == Cut::kNone};
  }

  AttentionShare AttentionOf(AttentionKind kind, int64_t layers, Rank rank) const {
    const int64_t heads = CutHeads(config_.num_heads, config_.num_heads, rank).query.local_size;
    return {.kind = kind,
            .num_heads = heads,
            .num_kv_heads = heads,
            .head_dim = config_.head_dim,
            .windows = std::vector<int64_t>(static_cast<size_t>(layers), 0)};
  }

  // The stream, queries, keys and values, attention's output and the feed-forward, as in a decoder.
  void CountWorkingMemory(Rank rank, Stage stage, RankShare& share) const {
    const int64_t query_width = share.attention.front().query_width();
    const int64_t features = parallel::CutFeatures(config_.ffn, rank).local_size;
    share.numbers_per_token = config_.hidden + 4 * query_width + features;
    if (rank.world > 1) share.numbers_per_token += 3 * config_.hidden;
    if (!stage.is_last()) return;
    const int64_t vocab_rows = parallel::CutVocabulary(config_.vocab_size, rank).local_size;
    share.numbers_per_logit_row = config_.hidden + vocab_rows;
    if (rank.world > 1 && rank.index == 0) share.numbers_per_logit_row += rank.world * vocab_rows;
  }

  T5Config config_;
};

}  // namespace

bool IsT5(std::string_view model_type) {
  return std::find(kModelTypes.begin(), kModelTypes.end(), model_type) != kModelTypes.end();
}

Result<std::unique_ptr<ModelShape>> ReadT5Shape(const std::string& where, const Json& config) {
  if (!config.is_object()) {
    return Status(StatusCode::kInvalidArgument, where + ": it must be a JSON object");
  }
  model::ConfigReader reader(where, config);
  DRAY_ASSIGN_OR_RETURN(T5Config sizes, ReadConfig(reader));
  return std::unique_ptr<ModelShape>(std::make_unique<T5Shape>(std::move(sizes)));
}

}  // namespace dray::plan
