// A vocabulary that needs no file: one token for each character.
#pragma once

#include <cstdint>
#include <memory>

#include "serving/text_codec.h"

namespace dray::serving {

// Ids below this are Unicode's code points.
inline constexpr int32_t kCharacterEndToken = 0x110000;
inline constexpr int64_t kCharacterVocabSize = kCharacterEndToken + 1;

// Bytes that are not UTF-8 become U+FFFD. The end token is special; its text is "<end>".
std::unique_ptr<TextCodec> MakeCharacterCodec();

}  // namespace dray::serving
