// The ids that several folders pass to each other. One request holds one or more sequences (n
// samples of one prompt); a sequence holds blocks of the paged KV cache.
#pragma once

#include <cstdint>

#include "base/strong_id.h"

namespace dray {

using RequestId = StrongId<struct RequestIdTag, uint64_t>;
using SequenceId = StrongId<struct SequenceIdTag, uint64_t>;
using BlockId = StrongId<struct BlockIdTag, int32_t>;

}  // namespace dray
