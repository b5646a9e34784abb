// The byte-level alphabet of GPT-2: each byte as one printable character, so that a vocabulary of
// text can hold any bytes. Bytes that print stand for themselves; the others become U+0100 and up,
// in order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace dray::tokenizer {

// One past the last character of the alphabet.
inline constexpr char32_t kByteLevelEnd = 0x144;

// Appends `bytes` in the alphabet.
void AppendByteLevel(std::string_view bytes, std::string& out);
// Appends the bytes that `text` (valid UTF-8) stands for; false, and nothing appended, if it has a
// character outside the alphabet.
bool AppendFromByteLevel(std::string_view text, std::string& out);

}  // namespace dray::tokenizer
