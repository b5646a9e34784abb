#include "artifact/checksum.h"

#include <fmt/format.h>
// The library's header for x86 makes XXH3_64bits the function that chooses the processor's best instructions; the plain
// one is compiled for the least processor. Their results are the same.
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

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
