// GGUF: any bytes are refused, or every byte of every tensor that they name is inside them, each
// block can be decoded, and the metadata gives a tokenizer or an error.
#include <cstdint>
#include <vector>

#include "checkpoint/gguf/gguf.h"
#include "fuzz/support/touch.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto gguf = dray::checkpoint::ReadGguf(dray::fuzz::AsBytes(data, size), "fuzz");
  if (!gguf.ok()) return 0;
  std::vector<float> row;
  for (const auto& tensor : gguf->content.tensors) {
    dray::fuzz::Touch(tensor.bytes());
    if (tensor.blocks == nullptr) continue;
    const int64_t cols = tensor.shape[tensor.shape.rank() - 1];
    row.resize(static_cast<size_t>(cols));
    dray::checkpoint::DecodeBlocks(*tensor.blocks, tensor.data, cols, row.data());
  }
  const auto tokenizer = dray::tokenizer::Tokenizer::FromGguf(gguf->metadata);
  if (!tokenizer.ok()) return 0;
  const auto ids = (*tokenizer)->Encode("A few words, \xC3\xA4 and 12345.\n", {});
  if (ids.ok()) (void)(*tokenizer)->Decode(*ids, {});
  return 0;
}
