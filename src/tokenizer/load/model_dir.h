// Reads a tokenizer from a model's folder: which files there are, and what those beside
// tokenizer.json say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"
#include "tokenizer/encoding.h"
#include "tokenizer/steps/added_tokens.h"
#include "tokenizer/tokenizer_parts.h"

namespace dray::tokenizer {

inline constexpr uint64_t kMaxTokenizerFileBytes = 256ull << 20;

// A special token with a role, and whether the file gives its text alone, without flags.
struct NamedToken {
  AddedToken token;
  bool text_alone = false;
};

// Roles of special tokens, in the order in which they get ids.
inline constexpr std::string_view kTokenNames[] = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

// What tokenizer_config.json, special_tokens_map.json, added_tokens.json and config.json
// say about encoding.
struct TokenizerConfig {
  std::string tokenizer_class;  // without "Fast"; empty if no file says it
  std::string model_type;       // of config.json; empty without that file
  bool add_bos_token = false;
  bool add_eos_token = false;
  std::optional<bool> add_prefix_space;
  bool legacy =
      false;  // Llama's: a blank before each text between special tokens, not the first alone
  TruncationSide truncation_side = TruncationSide::kRight;
  // BERT's, absent where the class decides.
  std::optional<bool> do_lower_case;
  std::optional<bool> strip_accents;
  std::optional<bool> tokenize_chinese_chars;
  std::optional<int64_t> extra_ids;  // T5's: how many sentinels <extra_id_N> there are
  // Tokens that these files declare, to be added after those of tokenizer.json, in the order of
  // their ids.
  std::vector<AddedToken> declared_tokens;
  // Special tokens, to be added after the declared ones: those with a role, then the others.
  std::map<std::string, NamedToken, std::less<>> named_tokens;  // by kTokenNames
  std::vector<AddedToken> extra_special_tokens;
  bool lists_extra_tokens = false;  // whether a file lists the others, even as null or as none

  // The text of the token with a role of kTokenNames, or null.
  const std::string* Named(std::string_view name) const;
  // Gives the role to `token` if no file says which token has it.
  void SetDefault(std::string_view name, const AddedToken& token);
};

Result<TokenizerConfig> ReadTokenizerConfig(const std::filesystem::path& model_dir);

// Adds the tokens of `config`. A special token that is there already stays as it is.
Status AddDeclaredTokens(const std::filesystem::path& model_dir, const TokenizerConfig& config,
                         TokenizerParts& parts);

// A file of JSON, of at most kMaxTokenizerFileBytes. Errors name it.
Result<Json> ReadTokenizerJson(const std::filesystem::path& path);

}  // namespace dray::tokenizer
