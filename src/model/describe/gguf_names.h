// GGUF files name and store the weights of all families in the same way. So one table replaces the
// families' own names and transforms.
#pragma once

#include <vector>

#include "model/families/family_spec.h"

namespace dray::model {

// The order of the rows of queries and keys in their tensors: as the decoder needs them, or with
// the two halves of each head interleaved. Converters do the latter for programs that rotate
// neighbours.
enum class GgufHeads : uint8_t { kAsTheyAre, kInterleaved };

// The family's weights with their GGUF names. All are stored [out, in], with the query, key and
// value rows one after the other, even if the family's own checkpoints store them differently.
std::vector<WeightRow> GgufRows(const FamilySpec& family, GgufHeads heads);

// Tensors of a GGUF file other than the decoder's weights.
inline constexpr std::string_view kGgufTokenTable = "token_embd.weight";
inline constexpr std::string_view kGgufHead = "output.weight";
// [rotary dimensions / 2]: the numbers by which the pairs' frequencies are divided.
inline constexpr std::string_view kGgufRopeDivisors = "rope_freqs.weight";

}  // namespace dray::model
