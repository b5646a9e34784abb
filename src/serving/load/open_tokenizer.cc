#include "serving/load/open_tokenizer.h"

#include "base/parse/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/weight_files.h"

namespace dray::serving {

Result<std::unique_ptr<tokenizer::Tokenizer>> OpenTokenizer(const std::filesystem::path& path) {
  const std::filesystem::path dir = checkpoint::ModelDir(path);
  if (tokenizer::Tokenizer::HasFiles(dir)) return tokenizer::Tokenizer::Load(dir);
  if (!checkpoint::IsGgufFile(path)) {
    const auto weights = checkpoint::FindWeightFiles(path);
    const bool gguf = weights.ok() && weights->format == checkpoint::FileFormat::kGguf;
    if (!gguf) return tokenizer::Tokenizer::Load(dir);
  }
  DRAY_ASSIGN_OR_RETURN(const Json metadata, checkpoint::ReadMetadata(path));
  auto tokenizer = tokenizer::Tokenizer::FromGguf(metadata);
  if (!tokenizer.ok()) return tokenizer.status().WithPrefix(path.string());
  return tokenizer;
}

}  // namespace dray::serving
