// spiece.model: any bytes are refused with a message, or give a model and a normalizer that accept any text
// and return only ids of the vocabulary.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tokenizer/load/vocab_files.h"
#include "tokenizer/text/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace tok = dray::tokenizer;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const int64_t num_sentinels = static_cast<int64_t>(size % 3);
  const auto parts = tok::ParseSpieceModel(bytes, num_sentinels);
  if (!parts.ok()) {
    DRAY_CHECK(!parts.status().message().empty());
    return 0;
  }
  // The file's own bytes are a text that meets many of its pieces.
  const std::string text = "\u2581a fi\uFB01 e\u0301" + tok::ReplaceInvalidUtf8(bytes);
  tok::WorkBudget budget(text.size());
  tok::OwnedPiece piece{text, 0, true};
  if (!parts->normalizer.Apply(piece, budget).ok()) return 0;
  DRAY_CHECK(tok::IsValidUtf8(piece.text));
  std::vector<int32_t> ids;
  if (piece.text.empty() || !parts->model->Encode({piece.text}, budget, ids).ok()) return 0;
  for (const int32_t id : ids) DRAY_CHECK(id >= 0 && id < parts->model->vocab().id_end());
  return 0;
}
