// `dray tokenize MODEL`: a text's tokens, for people and for scripts.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

namespace dray::cli {

enum class TokenizeFormat {
  kTable,  // one token a line, for people
  kJsonl,  // one JSON value a line in, one out
};
enum class TokenizeDirection { kEncode, kDecode };

struct TokenizeOptions {
  std::filesystem::path model_dir;
  TokenizeFormat format = TokenizeFormat::kTable;
  TokenizeDirection direction = TokenizeDirection::kEncode;
  // The text to encode, or the ids to decode ("[1, 2]" or "1 2"). Without it, standard input: the
  // whole of it as one text, or line by line for kJsonl.
  std::optional<std::string> text;
  bool add_special_tokens = true;    // encoding: the tokens of begin and end
  bool skip_special_tokens = false;  // decoding: leave special tokens out
};

// kTable shows each token with its id and its place in the text, or, decoding, the text. kJsonl
// turns each line, a JSON string, into a JSON array of ids, or the other way round; every line is
// flushed. Returns the exit code: 1 if the model or a line is bad, which `err` names.
int RunTokenize(const TokenizeOptions& options, std::istream& in, std::ostream& out,
                std::ostream& err);

}  // namespace dray::cli
