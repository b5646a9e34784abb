// What the front and the processes of ranks send to each other: any bytes are refused, or read within
// their bounds. A step that is taken encodes to the same bytes.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "engine/runner/processes/wire/rank_messages.h"
#include "engine/runner/processes/wire/step_codec.h"
#include "fuzz/support/touch.h"

namespace {

using namespace dray::engine;

const StepBounds kBounds = {.spec = {.cache = {.num_blocks = 8, .block_size = 16},
                                     .step = {.max_batch_tokens = 64,
                                              .max_sequences = 2,
                                              .max_logit_rows = 3,
                                              .max_table_entries = 8}},
                            .vocab_size = 100,
                            .max_positions = 64};

const StepBounds kBoundsOfEncoder = {
    .spec = {.step = {.max_batch_tokens = 64, .max_sequences = 2, .max_logit_rows = 3}},
    .vocab_size = 100,
    .max_positions = 64,
    .is_encoder = true,
    .num_token_types = 2};

void ReadStep(std::span<const std::byte> bytes, const StepBounds& bounds) {
  RunnerStep step;
  if (!DecodeStep(bytes, bounds, step).ok()) return;
  std::vector<std::byte> encoded;
  EncodeStep(step, encoded);
  DRAY_CHECK(std::equal(encoded.begin(), encoded.end(), bytes.begin(), bytes.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = dray::fuzz::AsBytes(data, size);
  ReadStep(bytes, kBounds);
  ReadStep(bytes, kBoundsOfEncoder);
  static_cast<void>(DecodePiece(bytes, 0, {.num_rows = 2, .row_width = 100}, kBounds));
  static_cast<void>(KindOf(bytes));
  static_cast<void>(DecodeLoad(bytes));
  static_cast<void>(DecodeRun(bytes));
  static_cast<void>(DecodeProgress(bytes));
  static_cast<void>(DecodeLoaded(bytes));
  static_cast<void>(DecodeTraffic(bytes));
  static_cast<void>(DecodeHello(bytes));
  static_cast<void>(DecodeFailed(bytes));
  return 0;
}
