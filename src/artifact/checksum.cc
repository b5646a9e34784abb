#include "artifact/checksum.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <charconv>

namespace dray::artifact {

uint64_t Checksum(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

uint64_t Checksum(std::string_view text) {
  return Checksum(std::as_bytes(std::span(text.data(), text.size())));
}

std::string ChecksumText(uint64_t checksum) { return fmt::format("{:016x}", checksum); }

std::optional<uint64_t> ParseChecksum(std::string_view text) {
  uint64_t checksum = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, checksum, 16);
  if (error != std::errc() || stop != end || ChecksumText(checksum) != text) return std::nullopt;
  return checksum;
}

}  // namespace dray::artifact
