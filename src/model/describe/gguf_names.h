// GGUF files name and store the weights of every family alike: one table in place of the families'
// own names and transforms.
#pragma once

#include <vector>

#include "model/families/family_spec.h"

namespace dray::model {

// In which order the rows of queries and keys stand in their tensors: as the decoder wants
// them, or with the two halves of each head interleaved, which is how converters prepare a
// rotation of neighbours.
enum class GgufHeads : uint8_t { kAsTheyAre, kInterleaved };

// The family's weights under their GGUF names. All are stored [out, in] with query, key and value
// rows one after the other, whatever the family's own checkpoints do.
std::vector<WeightRow> GgufRows(const FamilySpec& family, GgufHeads heads);

// Tensors that a GGUF file holds beside the decoder's weights.
inline constexpr std::string_view kGgufTokenTable = "token_embd.weight";
inline constexpr std::string_view kGgufHead = "output.weight";
// [rotary dimensions / 2]: each pair's frequency is divided by its number.
inline constexpr std::string_view kGgufRopeDivisors = "rope_freqs.weight";

}  // namespace dray::model
