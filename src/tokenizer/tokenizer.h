// Text to token ids and back, as Hugging Face's tokenizers do it for the same files. A Tokenizer
// never changes after Load and may be used from any number of threads at once.
//
//   auto tokenizer = Tokenizer::Load("/models/gpt2");
//   auto ids = (*tokenizer)->Encode("Hello", {});
//   std::string text = (*tokenizer)->Decode(*ids, {});
//
// stream_decoder.h gives a generated text piece by piece.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"
#include "tokenizer/encoding.h"

namespace dray::tokenizer {

struct EncodeOptions {
  bool add_special_tokens = true;  // begin and end of sequence, as the tokenizer's files say
  // Ids beyond its limit go before special tokens are added. Absent: all ids stay.
  std::optional<Truncation> truncation = {};
  // Asked every few ms, if there is one: true says that the ids are not wanted any more.
  std::function<bool()> is_cancelled = {};
};

struct DecodeOptions {
  bool skip_special_tokens = true;  // leave special tokens out of the text
};

struct Piece;
struct TokenizerParts;
class WorkBudget;

class Tokenizer {
 public:
  // Reads tokenizer.json of a model's folder, or else the vocabulary that its class has: vocab.json and
  // merges.txt, vocab.txt, or spiece.model; with the facts of tokenizer_config.json and its like. Errors
  // name the file, the field and the value; what dray does not know is kUnsupported, never guessed.
  static Result<std::unique_ptr<Tokenizer>> Load(const std::filesystem::path& model_dir);
  // Whether the folder has one of these files.
  static bool HasFiles(const std::filesystem::path& model_dir);
  // From the metadata of a GGUF file, whose keys it names in errors.
  static Result<std::unique_ptr<Tokenizer>> FromGguf(const Json& metadata);
  // From the text of a tokenizer.json alone.
  static Result<std::unique_ptr<Tokenizer>> FromJson(std::string_view tokenizer_json);

  ~Tokenizer();

  // The ids of `text`. Bytes that are not UTF-8 count as U+FFFD. Errors: text above
  // kMaxTextBytes, or one that this tokenizer cannot encode (no unknown token, a pattern that
  // takes too many steps); kCancelled once options.is_cancelled says true.
  Result<std::vector<int32_t>> Encode(std::string_view text, const EncodeOptions& options) const;
  // The same with the type of each id.
  Result<Encoding> EncodeTyped(std::string_view text, const EncodeOptions& options) const;
  // Two texts as one sequence, as the tokenizer's template for pairs says: [CLS] A [SEP] B [SEP].
  // kMaxTextBytes holds for both together.
  Result<Encoding> EncodePair(std::string_view first, std::string_view second,
                              const EncodeOptions& options) const;
  // The text of `ids`, always UTF-8. Ids without a token count as nothing.
  std::string Decode(std::span<const int32_t> ids, const DecodeOptions& options) const;

  // The id of a token's text, among added tokens and then the vocabulary.
  std::optional<int32_t> TokenId(std::string_view token) const;
  // A token's text as the vocabulary has it ("\u0120the", "<0x0A>"), or nothing if no token
  // has the id.
  std::optional<std::string_view> TokenText(int32_t id) const;
  // Whether DecodeOptions::skip_special_tokens leaves this id out.
  bool IsSpecial(int32_t id) const;

  // One past the largest id. Ids below it may have holes.
  int32_t vocab_size() const;
  // Begin and end of sequence, if the files name them.
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;

  static constexpr size_t kMaxTextBytes = 256 << 20;

 private:
  friend class StreamDecoder;
  friend Result<std::unique_ptr<Tokenizer>> BuildTokenizer(TokenizerParts parts);
  explicit Tokenizer(std::unique_ptr<const TokenizerParts> parts);

  Result<Encoding> EncodeAll(std::span<const std::string_view> texts,
                             const EncodeOptions& options) const;
  Status EncodeText(std::string_view text, WorkBudget& budget, std::vector<int32_t>& ids) const;
  Status EncodeBetween(Piece whole, WorkBudget& budget, std::vector<int32_t>& ids) const;

  std::unique_ptr<const TokenizerParts> parts_;
};

}  // namespace dray::tokenizer
