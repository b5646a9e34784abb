// Opens a model's tokenizer from the files of its folder or from its GGUF file.
#pragma once

#include <filesystem>
#include <memory>

#include "base/status.h"
#include "tokenizer/tokenizer.h"

namespace dray::serving {

// `path` is a folder or a .gguf file. If the folder has a tokenizer.json or the files of a vocabulary, they are
// used rather than a GGUF file, which has only the texts of added tokens. Errors name the file.
Result<std::unique_ptr<tokenizer::Tokenizer>> OpenTokenizer(const std::filesystem::path& path);

}  // namespace dray::serving
