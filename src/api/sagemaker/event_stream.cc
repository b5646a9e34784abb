#include "api/sagemaker/event_stream.h"

#include <zlib.h>

#include <cstdint>
#include <initializer_list>
#include <utility>

namespace dray::api {
namespace {

constexpr size_t kPreludeBytes = 12;
constexpr size_t kChecksumBytes = 4;

void AppendUint16(std::string& out, size_t value) {
  out += static_cast<char>(value >> 8 & 0xFF);
  out += static_cast<char>(value & 0xFF);
}

void AppendUint32(std::string& out, size_t value) {
  AppendUint16(out, value >> 16);
  AppendUint16(out, value);
}

// The CRC-32 of `out` from `begin` on.
void AppendChecksum(std::string& out, size_t begin) {
  AppendUint32(out,
               crc32_z(0, reinterpret_cast<const Bytef*>(out.data() + begin), out.size() - begin));
}

// Names and values of headers; all values are text.
using HeaderList = std::initializer_list<std::pair<std::string_view, std::string_view>>;

void AppendHeaders(std::string& out, HeaderList headers) {
  constexpr char kText = 7;
  for (const auto& [name, value] : headers) {
    out += static_cast<char>(name.size());
    out += name;
    out += kText;
    AppendUint16(out, value.size());
    out += value;
  }
}

void AppendFrame(std::string& out, HeaderList headers, std::string_view payload) {
  std::string header_bytes;
  AppendHeaders(header_bytes, headers);
  const size_t begin = out.size();
  AppendUint32(out, kPreludeBytes + header_bytes.size() + payload.size() + kChecksumBytes);
  AppendUint32(out, header_bytes.size());
  AppendChecksum(out, begin);
  out += header_bytes;
  out += payload;
  AppendChecksum(out, begin);
}

}  // namespace

std::string EncodeParts(std::string_view data) {
  std::string frames;
  while (!data.empty()) {
    const std::string_view part = data.substr(0, kMaxPartBytes);
    data.remove_prefix(part.size());
    AppendFrame(frames,
                {{":message-type", "event"},
                 {":event-type", "PayloadPart"},
                 {":content-type", "application/octet-stream"}},
                part);
  }
  return frames;
}

std::string EncodeException(std::string_view type, std::string_view json) {
  std::string frame;
  AppendFrame(frame,
              {{":message-type", "exception"},
               {":exception-type", type},
               {":content-type", "application/json"}},
              json);
  return frame;
}

}  // namespace dray::api
