#include "serving/load/open_tokenizer.h"

#include <utility>

#include "base/file.h"
#include "base/parse/json.h"
#include "base/threads/start_thread.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf/gguf_files.h"
#include "checkpoint/weight_files.h"

namespace dray::serving {
namespace {

using TokenizerPtr = std::unique_ptr<tokenizer::Tokenizer>;

// Of an artifact that was made of a GGUF model.
Result<TokenizerPtr> FromMetadataFile(const std::filesystem::path& folder) {
  constexpr uint64_t kMaxBytes = uint64_t{256} << 20;
  const std::filesystem::path path = folder / checkpoint::kGgufMetadataName;
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxBytes));
  auto metadata = Json::Parse(text);
  if (!metadata.ok()) return metadata.status().WithPrefix(path.string());
  auto tokenizer = tokenizer::Tokenizer::FromGguf(*metadata);
  if (!tokenizer.ok()) return tokenizer.status().WithPrefix(path.string());
  return tokenizer;
}

}  // namespace

Result<std::unique_ptr<tokenizer::Tokenizer>> OpenTokenizer(const std::filesystem::path& path) {
  const std::filesystem::path dir = checkpoint::ModelDir(path);
  if (tokenizer::Tokenizer::HasFiles(dir)) return tokenizer::Tokenizer::Load(dir);
  if (HasEntry(dir / checkpoint::kGgufMetadataName)) return FromMetadataFile(dir);
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

TokenizerLoad::TokenizerLoad(std::filesystem::path path, std::function<void()> on_error) {
  const auto open = std::make_shared<std::packaged_task<Opened()>>(
      [path = std::move(path), on_error = std::move(on_error)] {
        auto opened = OpenTokenizer(path);
        if (!opened.ok()) on_error();
        return opened;
      });
  opened_ = open->get_future();
  auto thread = StartThread("the thread that opens a tokenizer", [open] { (*open)(); });
  if (thread.ok()) {
    thread_ = std::move(*thread);
  } else {
    (*open)();
  }
}

TokenizerLoad::~TokenizerLoad() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace dray::serving
