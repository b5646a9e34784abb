// The name of one request, by which a client, the logs and the answer speak of the same one.
#pragma once

#include <string>
#include <string_view>

#include "http/request.h"

namespace dray::http {

// An id that a client sends may have so many bytes; the rest of it is cut off.
inline constexpr size_t kMaxRequestIdBytes = 256;

// A random UUID, version 4. Nobody can guess one from others, so that it may stand for a client's session or answer.
std::string RandomUuid();

// The value of the header `header`; a RandomUuid if the request has no such header or an empty one.
std::string RequestId(const Headers& headers, std::string_view header);

}  // namespace dray::http
