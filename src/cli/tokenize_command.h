// `dray tokenize MODEL`: shows the tokens of a text, for people and for scripts.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

#include "base/status.h"
#include "tokenizer/encoding.h"

namespace dray::cli {

enum class TokenizeFormat {
  kTable,  // one token on each line, for people
  kJsonl,  // reads and writes one JSON value on each line
};
enum class TokenizeDirection { kEncode, kDecode };

struct TokenizeOptions {
  std::filesystem::path model_dir;
  TokenizeFormat format = TokenizeFormat::kTable;
  TokenizeDirection direction = TokenizeDirection::kEncode;
  // The text to encode, or the ids to decode ("[1, 2]" or "1 2"). If absent, they are read from
  // standard input: all of it for kTable, line by line for kJsonl.
  std::optional<std::string> text;
  // Encoding of kTable: the second text of a pair.
  std::optional<std::string> pair;
  // Encoding: at most so many ids, with special tokens, and what is cut where there are more.
  std::optional<uint64_t> max_tokens;
  tokenizer::TruncationStrategy truncation = tokenizer::TruncationStrategy::kLongestFirst;
  bool add_special_tokens = true;    // encoding: adds the tokens that begin and end a text
  bool skip_special_tokens = false;  // decoding: leaves special tokens out
};

// Sets `strategy` by its name in Hugging Face's libraries: longest_first, only_first, only_second.
Status ParseTruncation(const std::string& name, tokenizer::TruncationStrategy& strategy);

// kTable shows each token with its id and its place in the text, for a pair of texts also its type, or, when
// decoding, the text. kJsonl turns each line, a JSON string, into a JSON array of ids, or the reverse; an array
// of two strings is a pair and becomes {"ids": [...], "type_ids": [...]}. It flushes every line. Returns the exit code: 1 if the model or a line is wrong, which `err` names.
int RunTokenize(const TokenizeOptions& options, std::istream& in, std::ostream& out,
                std::ostream& err);

}  // namespace dray::cli
