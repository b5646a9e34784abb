// tokenizer.json: any bytes are refused, or give a tokenizer that accepts any text, returns only
// ids of its vocabulary, and decodes to the same text in a stream of whole characters. The input is
// the file; the bytes after its first NUL are the text.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/text/utf8.h"
#include "tokenizer/tokenizer.h"

namespace {

namespace tok = dray::tokenizer;

std::string Stream(tok::StreamDecoder stream, std::span<const int32_t> ids) {
  std::string joined;
  for (const int32_t id : ids) {
    const std::string piece = stream.Push(id);
    DRAY_CHECK(tok::IsValidUtf8(piece));
    joined += piece;
  }
  joined += stream.Finish();
  DRAY_CHECK(tok::IsValidUtf8(joined));
  return joined;
}

void TryDecode(const tok::Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip) {
  const tok::DecodeOptions options{.skip_special_tokens = skip};
  const std::string text = tokenizer.Decode(ids, options);
  DRAY_CHECK(tok::IsValidUtf8(text));
  const std::string streamed = Stream(tok::StreamDecoder(tokenizer, options), ids);
  // Bytes that are no text are the one thing that the two may show differently.
  const bool whole = text.find(tok::kReplacementUtf8) == std::string::npos;
  if (whole) DRAY_CHECK(streamed == text);
  // After a prompt, and after one that says everything.
  const std::span<const int32_t> all(ids);
  const auto prompt = all.first(all.size() / 2);
  Stream(tok::StreamDecoder(tokenizer, options, prompt), all.subspan(prompt.size()));
  DRAY_CHECK(Stream(tok::StreamDecoder(tokenizer, options, all), {}).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t zero = input.find('\0');
  const std::string_view text = zero == std::string_view::npos ? "" : input.substr(zero + 1);
  const auto tokenizer = tok::Tokenizer::FromJson(input.substr(0, zero));
  if (!tokenizer.ok()) {
    DRAY_CHECK(!tokenizer.status().message().empty());
    return 0;
  }
  const tok::Tokenizer& made = **tokenizer;
  const auto ids = made.Encode(text, {});
  if (ids.ok()) {
    for (const int32_t id : *ids) DRAY_CHECK(id >= 0 && id < made.vocab_size());
    TryDecode(made, *ids, true);
  }
  std::vector<int32_t> any;  // ids that need not come from a text
  for (const char byte : text.substr(0, 64)) any.push_back(static_cast<int8_t>(byte));
  TryDecode(made, any, false);
  return 0;
}
