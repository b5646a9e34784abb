// Checks the weight tables against the configurations: every slot that a model needs is filled
// exactly once, by rows whose shapes and splits fit the slot.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "model/families/family_spec.h"
#include "model/testing/config_testing.h"

namespace dray::model {
namespace {

struct Model {
  const char* name;
  std::string_view json;
  std::string_view changes = "{}";
  bool of_encoder = false;  // the encoder of an encoder-decoder
};

class FamilyTableTest : public testing::TestWithParam<Model> {
 protected:
  void SetUp() override {
    auto model = Describe(With(GetParam().json, GetParam().changes));
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    family_ = model->family;
    if (GetParam().of_encoder) model = EncoderOf(*model);
    config_ = model->config;
    rows_ = model->weights;
  }

  std::vector<WeightRow> Present() const {
    std::vector<WeightRow> rows;
    for (const WeightRow& row : rows_) {
      if (row.present == nullptr || row.present(config_)) rows.push_back(row);
    }
    return rows;
  }

  const FamilySpec* family_ = nullptr;
  ModelConfig config_;
  std::vector<WeightRow> rows_;
};

struct SlotShape {
  int64_t rows = 0;
  int64_t cols = 0;  // 0: a vector
};

void AddNorm(std::map<Slot, SlotShape>& slots, const ModelConfig& c, Slot weight, Slot bias) {
  if (c.stack.norm_affine) slots[weight] = {c.stack.hidden, 0};
  if (c.stack.norm_affine && c.stack.norm_bias) slots[bias] = {c.stack.hidden, 0};
}

// The slots that the forward pass reads, derived from the configuration alone.
std::map<Slot, SlotShape> NeededSlots(const ModelConfig& c) {
  std::map<Slot, SlotShape> slots;
  slots[Slot::kTokenEmbedding] = {c.vocab_size, c.embed_dim};
  if (c.stack.position == PositionKind::kLearned) {
    slots[Slot::kPositionEmbedding] = {c.stack.max_positions + c.stack.position_offset,
                                       c.stack.hidden};
  }
  if (c.stack.num_token_types > 0) {
    slots[Slot::kTokenTypeEmbedding] = {c.stack.num_token_types, c.stack.hidden};
  }
  if (c.classifier) {
    slots[Slot::kClassifierDense] = {c.stack.hidden, c.stack.hidden};
    slots[Slot::kClassifierDenseBias] = {c.stack.hidden, 0};
    slots[Slot::kClassifierOut] = {c.classifier->num_labels(), c.stack.hidden};
    slots[Slot::kClassifierOutBias] = {c.classifier->num_labels(), 0};
  }
  if (c.stack.position == PositionKind::kRelative) {
    slots[Slot::kRelativeBias] = {c.stack.relative.num_buckets, c.stack.num_heads};
  }
  if (c.stack.cross_attention) {
    slots[Slot::kCrossNormWeight] = {c.stack.hidden, 0};
    slots[Slot::kCrossQuery] = {c.stack.query_width(), c.stack.hidden};
    slots[Slot::kCrossKeyValue] = {2 * c.stack.kv_width(), c.stack.hidden};
    slots[Slot::kCrossOut] = {c.stack.hidden, c.stack.query_width()};
  }
  if (c.stack.embedding_norm) {
    AddNorm(slots, c, Slot::kEmbeddingNormWeight, Slot::kEmbeddingNormBias);
  }
  if (c.embed_dim != c.stack.hidden) {
    slots[Slot::kProjectIn] = {c.stack.hidden, c.embed_dim};
    slots[Slot::kProjectOut] = {c.embed_dim, c.stack.hidden};
  }
  if (c.stack.final_norm) AddNorm(slots, c, Slot::kFinalNormWeight, Slot::kFinalNormBias);
  if (!c.tied_head) slots[Slot::kHead] = {c.vocab_size, c.embed_dim};
  if (c.head_bias) slots[Slot::kHeadBias] = {c.vocab_size, 0};
  AddNorm(slots, c, Slot::kAttentionNormWeight, Slot::kAttentionNormBias);
  if (c.stack.residual != ResidualForm::kParallelOneNorm) {
    AddNorm(slots, c, Slot::kFfnNormWeight, Slot::kFfnNormBias);
  }
  slots[Slot::kQkv] = {c.stack.qkv_width(), c.stack.hidden};
  if (c.stack.qkv_bias) slots[Slot::kQkvBias] = {c.stack.qkv_width(), 0};
  if (c.stack.qk_norm) {
    slots[Slot::kQueryNorm] = {c.stack.head_dim, 0};
    slots[Slot::kKeyNorm] = {c.stack.head_dim, 0};
  }
  slots[Slot::kAttentionOut] = {c.stack.hidden, c.stack.query_width()};
  if (c.stack.attention_out_bias) slots[Slot::kAttentionOutBias] = {c.stack.hidden, 0};
  const int64_t ffn_in = c.stack.gated ? 2 * c.stack.ffn : c.stack.ffn;
  slots[Slot::kFfnIn] = {ffn_in, c.stack.hidden};
  if (c.stack.ffn_bias) slots[Slot::kFfnInBias] = {ffn_in, 0};
  slots[Slot::kFfnOut] = {c.stack.hidden, c.stack.ffn};
  if (c.stack.ffn_bias) slots[Slot::kFfnOutBias] = {c.stack.hidden, 0};
  return slots;
}

TEST_P(FamilyTableTest, FillsEverySlotOnce) {
  std::map<Slot, SlotShape> filled;
  std::set<std::pair<Slot, Part>> seen;
  for (const WeightRow& row : Present()) {
    EXPECT_TRUE(seen.insert({row.slot, row.part}).second) << row.name << " fills a place twice";
    SlotShape& shape = filled[row.slot];
    shape.rows += ExtentOf(row.rows, config_);
    shape.cols = row.cols == Extent::kNone ? 0 : ExtentOf(row.cols, config_);
  }
  auto needed = NeededSlots(config_);
  if (GetParam().of_encoder) {  // it reads the decoder's table and has no head
    needed.erase(Slot::kTokenEmbedding);
    needed.erase(Slot::kHead);
  }
  ASSERT_EQ(filled.size(), needed.size());
  for (const auto& [slot, shape] : needed) {
    ASSERT_TRUE(filled.contains(slot)) << static_cast<int>(slot);
    EXPECT_EQ(filled[slot].rows, shape.rows) << static_cast<int>(slot);
    EXPECT_EQ(filled[slot].cols, shape.cols) << static_cast<int>(slot);
  }
}

TEST_P(FamilyTableTest, PartsMatchTheirSlots) {
  for (const WeightRow& row : rows_) {
    const bool is_qkv = row.slot == Slot::kQkv || row.slot == Slot::kQkvBias;
    const bool is_ffn_in = row.slot == Slot::kFfnIn || row.slot == Slot::kFfnInBias;
    switch (row.part) {
      case Part::kWhole:
        EXPECT_EQ(is_qkv, row.rows == Extent::kQkv) << row.name;
        break;
      case Part::kQuery:
        EXPECT_TRUE(is_qkv && row.rows == Extent::kQuery) << row.name;
        break;
      case Part::kKey:
      case Part::kValue:
        EXPECT_TRUE((is_qkv || row.slot == Slot::kCrossKeyValue) && row.rows == Extent::kKv)
            << row.name;
        break;
      case Part::kGate:
      case Part::kUp:
        EXPECT_TRUE(is_ffn_in && row.rows == Extent::kFfn) << row.name;
        EXPECT_TRUE(config_.stack.gated || !IsPresent(row, config_)) << row.name;
        break;
    }
    if (row.transform == Transform::kPerHeadQkv) {
      EXPECT_TRUE(is_qkv && row.part == Part::kWhole) << row.name;
      EXPECT_EQ(config_.stack.num_heads, config_.stack.num_kv_heads);
    }
    if (row.transform == Transform::kTranspose) {
      EXPECT_NE(row.cols, Extent::kNone) << row.name;
    }
  }
}

TEST_P(FamilyTableTest, NamesHaveALayerWhereTheSlotHasOne) {
  std::set<std::string_view> names;
  for (const WeightRow& row : rows_) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(row.slot >= kFirstLayerSlot, row.name.find("{}") != std::string_view::npos)
        << row.name;
    for (const std::string_view prefix : family_->prefixes) {
      EXPECT_TRUE(prefix.ends_with('.')) << prefix;
      EXPECT_FALSE(row.name.starts_with(prefix)) << row.name;
    }
  }
}

// Listed slot by slot, so that the test does not repeat a mistake of the table.
ShardRule ExpectedRule(Slot slot) {
  switch (slot) {
    case Slot::kTokenEmbedding:
    case Slot::kHead:
    case Slot::kHeadBias:
      return ShardRule::kVocab;
    case Slot::kQkv:
    case Slot::kQkvBias:
    case Slot::kCrossQuery:
    case Slot::kCrossKeyValue:
      return ShardRule::kColumnByHead;
    case Slot::kFfnIn:
    case Slot::kFfnInBias:
      return ShardRule::kColumn;
    case Slot::kAttentionOut:
    case Slot::kCrossOut:
    case Slot::kFfnOut:
      return ShardRule::kRow;
    case Slot::kAttentionOutBias:
    case Slot::kFfnOutBias:
      return ShardRule::kOnce;
    default:
      return ShardRule::kReplicate;  // norms, positions, projections
  }
}

TEST_P(FamilyTableTest, ShardRules) {
  for (const WeightRow& row : rows_) {
    EXPECT_EQ(row.shard, ExpectedRule(row.slot)) << row.name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, FamilyTableTest,
    testing::Values(
        Model{"gpt2", kGpt2Json},
        Model{"gpt2_untied", kGpt2Json, R"({"tie_word_embeddings": false, "n_inner": 99})"},
        Model{"opt_125m", kOpt125mJson}, Model{"opt_350m", kOpt350mJson},
        Model{"opt_bare", kOpt125mJson,
              R"({"enable_bias": false, "layer_norm_elementwise_affine": false})"},
        Model{"opt_no_final_norm", kOpt125mJson, R"({"_remove_final_layer_norm": true})"},
        Model{"gptj", kGptJ6bJson},
        Model{"gptj_tied", kGptJ6bJson, R"({"tie_word_embeddings": true})"},
        Model{"gpt_neo", kGptNeo1_3bJson},
        Model{"gpt_neo_untied", kGptNeo1_3bJson, R"({"tie_word_embeddings": false})"},
        Model{"pythia", kPythia1_4bJson},
        Model{"neox_no_bias", kNeox20bJson,
              R"({"attention_bias": false, "use_parallel_residual": false})"},
        Model{"bloom", kBloom560mJson}, Model{"llama2", kLlama2Json},
        Model{"llama32", kLlama32Json},
        Model{"llama_bias", kLlama31Json, R"({"attention_bias": true, "mlp_bias": true})"},
        Model{"mistral", kMistral01Json}, Model{"qwen2", kQwen25Json}, Model{"qwen3", kQwen3Json},
        Model{"qwen3_bias", kQwen3Json, R"({"attention_bias": true})"}, Model{"bert", kMiniLmJson},
        Model{"bert_classifier", kMiniLmJson,
              R"({"architectures": ["BertForSequenceClassification"]})"},
        Model{"roberta", kRobertaJson},
        Model{"roberta_classifier", kRobertaJson,
              R"({"architectures": ["RobertaForSequenceClassification"], "num_labels": 5})"},
        Model{"xlm_roberta", kRobertaJson, R"({"model_type": "xlm-roberta"})"},
        Model{"camembert", kRobertaJson, R"({"model_type": "camembert"})"},
        Model{"distilbert", kDistilBertJson}, Model{"t5", kT5SmallJson},
        Model{"t5_encoder", kT5SmallJson, "{}", true}, Model{"flan_t5", kFlanT5XxlJson},
        Model{"flan_t5_encoder", kFlanT5XxlJson, "{}", true},
        Model{"mt5", kMt5SmallJson, R"({"num_decoder_layers": 3})"},
        Model{"mt5_encoder", kMt5SmallJson, R"({"num_decoder_layers": 3})", true}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(FamilyRegistryTest, SortedAndFound) {
  const auto families = AllFamilies();
  EXPECT_EQ(families.size(), 17u);
  EXPECT_TRUE(std::is_sorted(families.begin(), families.end(), [](const auto* a, const auto* b) {
    return a->model_type < b->model_type;
  }));
  for (const FamilySpec* family : families) EXPECT_EQ(FindFamily(family->model_type), family);
  EXPECT_EQ(FindFamily("longt5"), nullptr);
  EXPECT_EQ(FindFamily(""), nullptr);
}

TEST(FamilyRegistryTest, EveryFamilyReadsItsDefaults) {
  for (const FamilySpec* family : AllFamilies()) {
    const auto model = Describe(Json::MakeObject({{"model_type", Json(family->model_type)}}));
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    EXPECT_EQ(model->config.family, family->model_type);
    EXPECT_EQ(model->config.stack.window.size(),
              static_cast<size_t>(model->config.stack.num_layers));
    EXPECT_EQ(model->config.stack.attention_scale.size(), model->config.stack.window.size());
  }
}

// The rows are the same for the same shape: the LLaMA-shaped families differ only in configuration.
TEST(FamilyRegistryTest, LlamaShapesShareOneTable) {
  for (const char* name : {"mistral", "qwen2", "qwen3"}) {
    EXPECT_EQ(FindFamily(name)->weights.data(), FindFamily("llama")->weights.data());
  }
}

}  // namespace
}  // namespace dray::model
