// Writes what a ByteReader reads: numbers and texts, little-endian, one after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace dray {

class ByteWriter {
 public:
  // Appends to `out`, which must outlive the writer.
  explicit ByteWriter(std::vector<std::byte>& out) : out_(out) {}

  template <typename T>
  requires std::is_arithmetic_v<T>
  void Write(T value) { WriteBytes(std::as_bytes(std::span(&value, 1))); }
  void WriteBytes(std::span<const std::byte> bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }
  // The number of its bytes as uint32_t, and then the text.
  void WriteText(std::string_view text) {
    Write(static_cast<uint32_t>(text.size()));
    WriteBytes(std::as_bytes(std::span(text)));
  }

 private:
  std::vector<std::byte>& out_;
};

}  // namespace dray
