// vocab.txt: any bytes are refused with a message, or give a model that accepts any word and returns only ids of
// the vocabulary. The bytes after the input's first NUL are words.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tokenizer/load/vocab_files.h"
#include "tokenizer/text/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace tok = dray::tokenizer;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  const auto model = tok::ParseVocabTxt(input.substr(0, zero), "[UNK]");
  if (!model.ok()) {
    DRAY_CHECK(!model.status().message().empty());
    return 0;
  }
  const std::string text =
      tok::ReplaceInvalidUtf8(zero == std::string_view::npos ? input : input.substr(zero + 1));
  tok::WorkBudget budget(text.size());
  for (const std::string_view word : tok::Lines(text)) {
    std::vector<int32_t> ids;
    if (word.empty() || !(*model)->Encode({word}, budget, ids).ok()) continue;
    DRAY_CHECK(!ids.empty() && ids.size() <= word.size());
    for (const int32_t id : ids) {
      DRAY_CHECK((*model)->vocab().Text(id).has_value());
    }
  }
  return 0;
}
