// The vocabulary of a GGUF file's metadata: the tokens with their types, and the keys beside them. What is
// made of it is for gguf_tokenizer.cc and gguf_encoders.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"
#include "tokenizer/tokenizer_parts.h"

namespace dray::tokenizer {

// The numbers of tokenizer.ggml.token_type.
enum GgufTokenType : int64_t {
  kGgufNormal = 1,
  kGgufUnknown = 2,
  kGgufControl = 3,
  kGgufUserDefined = 4,
  kGgufUnused = 5,
  kGgufByte = 6,
};

// The tokens around a text where the file has no flags for them.
struct GgufEnds {
  bool bos = false;
  bool eos = false;
};

class GgufVocab {
 public:
  // Reads the tokens and their types. `metadata` must outlive the object.
  static Result<GgufVocab> Load(const Json& metadata);

  // The full name of a key, "tokenizer.ggml.<key>", and an error that begins with it.
  static std::string Name(std::string_view key);
  static Status Error(StatusCode code, std::string_view key, std::string_view problem);

  // [id]: the token's text, a view of the metadata, and its GgufTokenType.
  const std::vector<std::string_view>& tokens() const { return tokens_; }
  const std::vector<int64_t>& types() const { return types_; }
  // Whether the id stands for no token. Converters fill such ids up with names.
  bool IsFiller(size_t id) const;

  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  // The value of a key. `missing`: what holds where the file does not have the key.
  Result<std::string> Text(std::string_view key, std::string_view missing) const;
  Result<bool> Flag(std::string_view key, bool missing) const;
  Result<const Json::Array*> Array(std::string_view key) const;
  // The score of each token, all finite.
  Result<std::vector<double>> Scores() const;
  // Nothing if the key is absent or its number is no token's.
  Result<std::optional<int32_t>> TokenId(std::string_view key) const;

  // All tokens under their ids.
  Result<Vocab> MakeVocab() const;
  // Adds the control tokens and those that a user defined. All are found in the text as it is given.
  Status AddTokens(TokenizerParts& parts) const;
  // Sets begin and end of sequence, where the file names them, and the ids around texts.
  Status AddEnds(TokenizerParts& parts, const GgufEnds& missing) const;

 private:
  explicit GgufVocab(const Json& metadata) : metadata_(&metadata) {}
  const Json* Find(std::string_view key) const { return metadata_->Find(Name(key)); }
  // A list with one element for each token, or null where the file has none.
  Result<const Json::Array*> ArrayOfTokens(std::string_view key) const;
  Status ReadTokens();
  Status ReadTypes();

  const Json* metadata_;
  std::vector<std::string_view> tokens_;
  std::vector<int64_t> types_;  // one each
};

}  // namespace dray::tokenizer
