// The one way to read untrusted bytes: every read is checked against what is left, and a failed
// read says where it was and how much was missing. Little-endian, as all our file formats are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/status.h"

namespace dray {

class ByteReader {
 public:
  // `what` names the source in errors ("model.safetensors header"); both must outlive the reader.
  ByteReader(std::span<const std::byte> bytes, std::string_view what)
      : bytes_(bytes), what_(what) {}

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }

  // The next sizeof(T) bytes as a little-endian number.
  template <typename T>
  requires std::is_arithmetic_v<T> Result<T> Read() {
    if (remaining() < sizeof(T)) return Missing(sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  // A view of the next `size` bytes.
  Result<std::span<const std::byte>> ReadBytes(size_t size);
  // The same as text; the bytes need not be UTF-8.
  Result<std::string_view> ReadText(size_t size);
  Status Skip(size_t size);
  Status Seek(size_t offset);

 private:
  Status Missing(size_t wanted) const;

  std::span<const std::byte> bytes_;
  std::string_view what_;
  size_t offset_ = 0;
};

}  // namespace dray
