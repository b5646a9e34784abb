#include "tokenizer/steps/charsmap.h"

#include <fmt/format.h>

#include <array>
#include <span>

#include "base/parse/byte_reader.h"
#include "tokenizer/text/unicode.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

// Clusters of this many bytes and more are replaced character by character.
constexpr size_t kMaxClusterBytes = 6;

std::optional<std::string> DecodeBase64(std::string_view text) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int, 256> value;
  value.fill(-1);
  for (size_t i = 0; i < kDigits.size(); ++i) {
    value[static_cast<uint8_t>(kDigits[i])] = static_cast<int>(i);
  }
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int digit = value[static_cast<uint8_t>(c)];
    if (digit < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>((bits >> count) & 0xFF);
    }
  }
  return out;
}

// A unit of the trie (the layout is the Darts-clone library's).
bool IsValue(uint32_t unit) { return unit >> 31 == 1; }
bool HasLeaf(uint32_t unit) { return ((unit >> 8) & 1) == 1; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t Label(uint32_t unit) { return unit & 0x800000FF; }
uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

}  // namespace

Result<Charsmap> Charsmap::FromBase64(std::string_view base64) {
  const auto blob = DecodeBase64(base64);
  if (!blob) return Status(StatusCode::kCorrupt, "is not base64");
  return FromBytes(*blob);
}

Result<Charsmap> Charsmap::FromBytes(std::string_view blob) {
  ByteReader reader(std::as_bytes(std::span(blob)), "character map");
  DRAY_ASSIGN_OR_RETURN(const uint32_t trie_bytes, reader.Read<uint32_t>());
  if (trie_bytes == 0 || trie_bytes % sizeof(uint32_t) != 0 || trie_bytes > reader.remaining()) {
    return Status(StatusCode::kCorrupt,
                  fmt::format("declares a trie of {} bytes, but {} bytes follow", trie_bytes,
                              reader.remaining()));
  }
  Charsmap map;
  map.trie_.reserve(trie_bytes / sizeof(uint32_t));
  for (uint32_t i = 0; i < trie_bytes / sizeof(uint32_t); ++i) {
    DRAY_ASSIGN_OR_RETURN(const uint32_t unit, reader.Read<uint32_t>());
    map.trie_.push_back(unit);
  }
  DRAY_ASSIGN_OR_RETURN(const std::string_view replacements, reader.ReadText(reader.remaining()));
  if (!IsValidUtf8(replacements)) {
    return Status(StatusCode::kCorrupt, "its replacements are not UTF-8");
  }
  for (const uint32_t unit : map.trie_) {
    if (IsValue(unit) && Value(unit) >= replacements.size()) {
      return Status(
          StatusCode::kCorrupt,
          fmt::format("its trie names the replacement at byte {}, but replacements have {} bytes",
                      Value(unit), replacements.size()));
    }
  }
  map.replacements_ = replacements;
  return map;
}

std::optional<std::string_view> Charsmap::Find(std::string_view text) const {
  if (trie_.empty()) return std::nullopt;
  size_t node = Offset(trie_[0]);
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte == 0) break;
    node ^= byte;
    if (node >= trie_.size() || Label(trie_[node]) != byte) return std::nullopt;
    const uint32_t unit = trie_[node];
    node ^= Offset(unit);
    if (!HasLeaf(unit)) continue;
    if (node >= trie_.size()) return std::nullopt;
    const size_t begin = Value(trie_[node]);
    if (begin > replacements_.size()) return std::nullopt;
    if (begin < replacements_.size() && IsContinuation(replacements_[begin])) return std::nullopt;
    const std::string_view rest = std::string_view{replacements_}.substr(begin);
    return rest.substr(0, rest.find('\0'));
  }
  return std::nullopt;
}

Result<std::string> Charsmap::Apply(std::string_view text, size_t max_bytes, size_t& origin) const {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  size_t new_origin = 0;
  size_t begin = 0;
  const auto replace = [&](size_t end) {
    const auto known = Find(text.substr(begin, end - begin));
    if (!known) return false;
    out += *known;
    if (begin < origin) new_origin = out.size();
    begin = end;
    return true;
  };
  for (const size_t end : GraphemeEnds(text)) {
    if (end - begin < kMaxClusterBytes && replace(end)) continue;
    while (begin < end) {
      const size_t char_end = begin + DecodeChar(text, begin).bytes;
      if (replace(char_end)) continue;
      out.append(text, begin, char_end - begin);
      if (begin < origin) new_origin = out.size();
      begin = char_end;
    }
    if (out.size() > max_bytes) {
      return Status(StatusCode::kResourceExhausted,
                    fmt::format("normalizing makes this text longer than {} bytes", max_bytes));
    }
  }
  origin = new_origin;
  return out;
}

}  // namespace dray::tokenizer
