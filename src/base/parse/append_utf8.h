// Writes UTF-8. Separate because both text formats and tokenizers need it.
#pragma once

#include <string>

namespace dray {

// Appends the one to four bytes of a code point below 0x110000. A surrogate is written as it stands, in three
// bytes; the caller must have joined pairs.
void AppendUtf8(char32_t code, std::string& out);

}  // namespace dray
