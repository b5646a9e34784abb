// Loads a tokenizer from a folder without tokenizer.json: from vocab.json and merges.txt, vocab.txt, or spiece.model,
// with the steps around the model that the tokenizer's class has built in.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "tokenizer/load/model_dir.h"
#include "tokenizer/tokenizer_parts.h"

namespace dray::tokenizer {

// Whether the folder has such a file.
bool HasVocabFile(const std::filesystem::path& model_dir);

// Errors name the file. kNotFound if the folder has no such file; kUnsupported, naming the class, if dray does not
// know what the class makes of them. Special tokens that the class has go to `config`.
Result<TokenizerParts> LoadVocabDir(const std::filesystem::path& model_dir,
                                    TokenizerConfig& config);

}  // namespace dray::tokenizer
