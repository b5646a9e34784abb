// Escapes of .properties: any sequence of UTF-16 units, each written as \uXXXX, is read as the text that it
// is, or refused if it is none.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/parse/properties.h"

namespace {

void AppendCodePoint(uint32_t code, std::string& out) {
  const auto add = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0 | code >> 6);
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3F));
  } else {
    add(0xF0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3F));
    add(0x80 | (code >> 6 & 0x3F));
  }
  add(0x80 | (code & 0x3F));
}

// The units as UTF-8; nothing if a surrogate has no partner.
std::optional<std::string> ToUtf8(const std::u16string& units) {
  std::string out;
  for (size_t i = 0; i < units.size(); ++i) {
    uint32_t code = units[i];
    if (code >= 0xDC00 && code <= 0xDFFF) return std::nullopt;
    if (code >= 0xD800 && code <= 0xDBFF) {
      if (i + 1 == units.size() || units[i + 1] < 0xDC00 || units[i + 1] > 0xDFFF) {
        return std::nullopt;
      }
      code = 0x10000 + ((code - 0xD800) << 10) + (units[++i] - 0xDC00u);
    }
    AppendCodePoint(code, out);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::u16string units;
  std::string escaped;
  for (size_t i = 0; i + 1 < size; i += 2) {
    const auto unit = static_cast<unsigned>(data[i] << 8 | data[i + 1]);
    units += static_cast<char16_t>(unit);
    constexpr std::string_view kDigits = "0123456789abcdef";
    escaped += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) escaped += kDigits[unit >> shift & 15];
  }
  // In the place of the value, and of a part of the key.
  const auto expected = ToUtf8(units);
  const auto parsed = dray::ParseProperties("k" + escaped + "=" + escaped + "\n");
  DRAY_CHECK(parsed.ok() == expected.has_value());
  if (!parsed.ok()) {
    DRAY_CHECK(!parsed.status().message().empty());
    return 0;
  }
  DRAY_CHECK(parsed->size() == 1);
  DRAY_CHECK(parsed->begin()->first == "k" + *expected);
  DRAY_CHECK(parsed->begin()->second == *expected);
  return 0;
}
