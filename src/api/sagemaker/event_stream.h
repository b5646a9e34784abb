// Frames of AWS's event stream (application/vnd.amazon.eventstream), in which InvokeEndpointWithResponseStream
// brings an answer. A frame is, with all integers big-endian:
//
//   bytes  content
//   4      bytes of the whole frame
//   4      bytes of all headers
//   4      CRC-32 of the 8 bytes before
//   h      headers, each: u8 length of the name, name, u8 type (7: text), u16 length of the value, value
//   p      payload
//   4      CRC-32 of everything before
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dray::api {

inline constexpr std::string_view kEventStreamType = "application/vnd.amazon.eventstream";
// The most payload of one frame of EncodeParts. Clients take up to 24 MiB, and hold a frame in memory.
inline constexpr size_t kMaxPartBytes = size_t{1} << 20;

// `data` as events PayloadPart, of kMaxPartBytes each but for the last; nothing for no data.
std::string EncodeParts(std::string_view data);

// An exception, such as "ModelStreamError", with a JSON object as its payload, which must be shorter than 24 MiB.
std::string EncodeException(std::string_view type, std::string_view json);

}  // namespace dray::api
