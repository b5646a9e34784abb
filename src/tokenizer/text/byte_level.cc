#include "tokenizer/text/byte_level.h"

#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

constexpr int kNoByte = -1;

struct Alphabet {
  std::array<char32_t, 256> to_char{};
  std::array<int, kByteLevelEnd> to_byte{};

  Alphabet() {
    to_byte.fill(kNoByte);
    char32_t next = 0x100;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool prints =
          (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const char32_t code = prints ? byte : next++;
      to_char[byte] = code;
      to_byte[code] = static_cast<int>(byte);
    }
  }
};

const Alphabet kAlphabet;

}  // namespace

void AppendByteLevel(std::string_view bytes, std::string& out) {
  for (const char byte : bytes) {
    const char32_t code = kAlphabet.to_char[static_cast<uint8_t>(byte)];
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else {  // all others are below U+0800
      out += static_cast<char>(0xC0 | (code >> 6));
      out += static_cast<char>(0x80 | (code & 0x3F));
    }
  }
}

bool AppendFromByteLevel(std::string_view text, std::string& out) {
  const size_t start = out.size();
  for (size_t pos = 0; pos < text.size();) {
    const DecodedChar c = DecodeChar(text, pos);
    pos += c.bytes;
    const int byte = c.code < kByteLevelEnd ? kAlphabet.to_byte[c.code] : kNoByte;
    if (byte == kNoByte) {
      out.resize(start);
      return false;
    }
    out += static_cast<char>(byte);
  }
  return true;
}

}  // namespace dray::tokenizer
