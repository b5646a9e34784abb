// The checksum of an artifact's bytes. It finds every damage that happens by itself; against somebody
// who forges files on purpose it is no protection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dray::artifact {

// XXH3, 64 bits: as fast as memory can be read.
uint64_t Checksum(std::span<const std::byte> bytes);
uint64_t Checksum(std::string_view text);

// 16 hexadecimal digits, in lower case.
std::string ChecksumText(uint64_t checksum);
// Nothing if `text` is not what ChecksumText writes.
std::optional<uint64_t> ParseChecksum(std::string_view text);

}  // namespace dray::artifact
