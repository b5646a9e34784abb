// A model's tokenizer, from the files of its folder or from its GGUF file.
#pragma once

#include <filesystem>
#include <memory>

#include "base/status.h"
#include "tokenizer/tokenizer.h"

namespace dray::cli {

// `path` is a folder or a .gguf file. A tokenizer.json (or vocab.json) of the folder comes first,
// since a GGUF file only approximates it: it knows of added tokens no more than their text. Errors
// name the file.
Result<std::unique_ptr<tokenizer::Tokenizer>> OpenTokenizer(const std::filesystem::path& path);

}  // namespace dray::cli
