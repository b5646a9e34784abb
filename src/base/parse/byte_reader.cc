#include "base/parse/byte_reader.h"

#include <fmt/format.h>

namespace dray {

Result<std::span<const std::byte>> ByteReader::ReadBytes(size_t size) {
  if (remaining() < size) return Missing(size);
  auto view = bytes_.subspan(offset_, size);
  offset_ += size;
  return view;
}

Result<std::string_view> ByteReader::ReadText(size_t size) {
  DRAY_ASSIGN_OR_RETURN(auto bytes, ReadBytes(size));
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Status ByteReader::Skip(size_t size) { return ReadBytes(size).status(); }

Status ByteReader::Seek(size_t offset) {
  if (offset > bytes_.size()) {
    return {StatusCode::kCorrupt,
            fmt::format("{}: offset {} lies beyond its {} bytes", what_, offset, bytes_.size())};
  }
  offset_ = offset;
  return OkStatus();
}

Status ByteReader::Missing(size_t wanted) const {
  return {StatusCode::kCorrupt,
          fmt::format("{}: {} bytes wanted at offset {}, but only {} are left", what_, wanted,
                      offset_, remaining())};
}

}  // namespace dray
