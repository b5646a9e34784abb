// The one list of families.
#include "model/families/families.h"
#include "model/families/family_spec.h"

namespace dray::model {
namespace {

// Sorted by model_type.
constexpr const FamilySpec* kFamilies[] = {
    &kBertFamily,   &kBloomFamily,      &kCamembertFamily, &kDistilBertFamily, &kGpt2Family,
    &kGptNeoFamily, &kGptNeoxFamily,    &kGptJFamily,      &kLlamaFamily,      &kMistralFamily,
    &kMt5Family,    &kOptFamily,        &kQwen2Family,     &kQwen3Family,      &kRobertaFamily,
    &kT5Family,     &kXlmRobertaFamily,
};

}  // namespace

int64_t ExtentOf(Extent extent, const ModelConfig& config) {
  const StackConfig& stack = config.stack;
  switch (extent) {
    case Extent::kNone:
      return 1;
    case Extent::kHidden:
      return stack.hidden;
    case Extent::kEmbedDim:
      return config.embed_dim;
    case Extent::kVocab:
      return config.vocab_size;
    case Extent::kPositions:
      return stack.max_positions + stack.position_offset;
    case Extent::kTokenTypes:
      return stack.num_token_types;
    case Extent::kLabels:
      return config.classifier ? config.classifier->num_labels() : 0;
    case Extent::kQuery:
      return stack.query_width();
    case Extent::kKv:
      return stack.kv_width();
    case Extent::kQkv:
      return stack.qkv_width();
    case Extent::kFfn:
      return stack.ffn;
    case Extent::kHeadDim:
      return stack.head_dim;
    case Extent::kHeads:
      return stack.num_heads;
    case Extent::kRelativeBuckets:
      return stack.relative.num_buckets;
  }
  return 0;
}

bool IsPresent(const WeightRow& row, const ModelConfig& config) {
  return row.present == nullptr || row.present(config);
}

std::span<const FamilySpec* const> AllFamilies() { return kFamilies; }

const FamilySpec* FindFamily(std::string_view model_type) {
  for (const FamilySpec* family : kFamilies) {
    if (family->model_type == model_type) return family;
  }
  return nullptr;
}

}  // namespace dray::model
