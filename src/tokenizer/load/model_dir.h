// Reads a tokenizer from a model's folder: which files there are, and what those beside
// tokenizer.json say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "tokenizer/steps/added_tokens.h"

namespace dray::tokenizer {

inline constexpr uint64_t kMaxTokenizerFileBytes = 256ull << 20;

// What tokenizer_config.json, special_tokens_map.json, added_tokens.json and config.json
// say about encoding.
struct TokenizerConfig {
  std::string tokenizer_class;  // without "Fast"; empty if no file says it
  std::string model_type;       // of config.json; empty without that file
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<std::string> pad_token;
  bool add_bos_token = false;
  bool add_eos_token = false;
  std::optional<bool> add_prefix_space;
  bool legacy =
      false;  // Llama's: a blank before each text between special tokens, not the first alone
  // Tokens that these files declare, to be added after those of tokenizer.json: in the order of
  // their ids, then the special tokens by name.
  std::vector<AddedToken> declared_tokens;
  std::vector<AddedToken> special_tokens;
};

Result<TokenizerConfig> ReadTokenizerConfig(const std::filesystem::path& model_dir);

}  // namespace dray::tokenizer
