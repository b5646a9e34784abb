// Compressed bodies: the first byte chooses the format and the sizes of pieces. The result may not depend on
// the pieces.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/encoding/body_decoder.h"

namespace {

constexpr size_t kMostBytes = size_t{1} << 20;

// Nothing if the input is damaged, or makes too much.
std::optional<std::string> Decode(std::string_view input, const char* coding, size_t piece_bytes) {
  const auto decoder = dray::http::BodyDecoder::Make(coding);
  std::string out;
  std::array<char, 4096> block;
  while (!input.empty()) {
    std::string_view piece = input.substr(0, piece_bytes);
    input.remove_prefix(piece.size());
    while (true) {
      const auto progress = (*decoder)->Decode(piece, block);
      if (!progress.ok() || out.size() > kMostBytes) return std::nullopt;
      out.append(block.data(), progress->made_bytes);
      piece.remove_prefix(progress->used_bytes);
      if (piece.empty() && progress->made_bytes < block.size()) break;
    }
  }
  return (*decoder)->complete() ? std::optional(out) : std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const char* const coding = (data[0] & 1) != 0 ? "gzip" : "deflate";
  if (Decode(input, coding, input.size() + 1) != Decode(input, coding, 1 + data[0] / 2)) {
    __builtin_trap();
  }
  return 0;
}
