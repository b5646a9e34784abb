#include "model/describe/gguf_names.h"

#include <array>

#include "base/check.h"

namespace dray::model {
namespace {

struct GgufName {
  Slot slot;
  Part part;
  std::string_view name;  // "{}" stands for the layer's number
};

constexpr std::array kNames = {
    GgufName{Slot::kTokenEmbedding, Part::kWhole, kGgufTokenTable},
    GgufName{Slot::kPositionEmbedding, Part::kWhole, "position_embd.weight"},
    GgufName{Slot::kEmbeddingNormWeight, Part::kWhole, "token_embd_norm.weight"},
    GgufName{Slot::kEmbeddingNormBias, Part::kWhole, "token_embd_norm.bias"},
    GgufName{Slot::kFinalNormWeight, Part::kWhole, "output_norm.weight"},
    GgufName{Slot::kFinalNormBias, Part::kWhole, "output_norm.bias"},
    GgufName{Slot::kHead, Part::kWhole, kGgufHead},
    GgufName{Slot::kHeadBias, Part::kWhole, "output.bias"},
    GgufName{Slot::kAttentionNormWeight, Part::kWhole, "blk.{}.attn_norm.weight"},
    GgufName{Slot::kAttentionNormBias, Part::kWhole, "blk.{}.attn_norm.bias"},
    GgufName{Slot::kFfnNormWeight, Part::kWhole, "blk.{}.ffn_norm.weight"},
    GgufName{Slot::kFfnNormBias, Part::kWhole, "blk.{}.ffn_norm.bias"},
    GgufName{Slot::kQkv, Part::kWhole, "blk.{}.attn_qkv.weight"},
    GgufName{Slot::kQkv, Part::kQuery, "blk.{}.attn_q.weight"},
    GgufName{Slot::kQkv, Part::kKey, "blk.{}.attn_k.weight"},
    GgufName{Slot::kQkv, Part::kValue, "blk.{}.attn_v.weight"},
    GgufName{Slot::kQkvBias, Part::kWhole, "blk.{}.attn_qkv.bias"},
    GgufName{Slot::kQkvBias, Part::kQuery, "blk.{}.attn_q.bias"},
    GgufName{Slot::kQkvBias, Part::kKey, "blk.{}.attn_k.bias"},
    GgufName{Slot::kQkvBias, Part::kValue, "blk.{}.attn_v.bias"},
    GgufName{Slot::kQueryNorm, Part::kWhole, "blk.{}.attn_q_norm.weight"},
    GgufName{Slot::kKeyNorm, Part::kWhole, "blk.{}.attn_k_norm.weight"},
    GgufName{Slot::kAttentionOut, Part::kWhole, "blk.{}.attn_output.weight"},
    GgufName{Slot::kAttentionOutBias, Part::kWhole, "blk.{}.attn_output.bias"},
    GgufName{Slot::kFfnIn, Part::kWhole, "blk.{}.ffn_up.weight"},
    GgufName{Slot::kFfnIn, Part::kGate, "blk.{}.ffn_gate.weight"},
    GgufName{Slot::kFfnIn, Part::kUp, "blk.{}.ffn_up.weight"},
    GgufName{Slot::kFfnInBias, Part::kWhole, "blk.{}.ffn_up.bias"},
    GgufName{Slot::kFfnInBias, Part::kGate, "blk.{}.ffn_gate.bias"},
    GgufName{Slot::kFfnInBias, Part::kUp, "blk.{}.ffn_up.bias"},
    GgufName{Slot::kFfnOut, Part::kWhole, "blk.{}.ffn_down.weight"},
    GgufName{Slot::kFfnOutBias, Part::kWhole, "blk.{}.ffn_down.bias"},
};

std::string_view NameOf(const WeightRow& row) {
  for (const GgufName& entry : kNames) {
    if (entry.slot == row.slot && entry.part == row.part) return entry.name;
  }
  DRAY_CHECK(false);  // no GGUF architecture has this family
  return {};
}

}  // namespace

std::vector<WeightRow> GgufRows(const FamilySpec& family, GgufHeads heads) {
  std::vector<WeightRow> rows(family.weights.begin(), family.weights.end());
  for (WeightRow& row : rows) {
    row.name = NameOf(row);
    const bool turned = row.part == Part::kQuery || row.part == Part::kKey;
    const bool interleaved = heads == GgufHeads::kInterleaved && turned;
    row.transform = interleaved ? Transform::kInterleavedHalves : Transform::kNone;
  }
  return rows;
}

}  // namespace dray::model
