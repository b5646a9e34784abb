// tokenizer.json: any bytes are refused, or give a tokenizer that takes any text and keeps to its
// own ids. The input is the file; what follows its first NUL is the text.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), input.size());
  const auto tokenizer = dray::tokenizer::Tokenizer::FromJson(input.substr(0, end));
  if (!tokenizer.ok()) {
    DRAY_CHECK(!tokenizer.status().message().empty());
    return 0;
  }
  const auto ids = (*tokenizer)->Encode(input.substr(end), {});
  if (!ids.ok()) return 0;
  for (const int32_t id : *ids) DRAY_CHECK(id >= 0 && id < (*tokenizer)->vocab_size());
  (*tokenizer)->Decode(*ids, {});
  (*tokenizer)->Decode(*ids, {.skip_special_tokens = false});
  return 0;
}
