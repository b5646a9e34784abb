// Which compression a client accepts, and compressing an answer by it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/request.h"
#include "http/response.h"

namespace dray::http {

enum class ContentCoding { kIdentity, kGzip, kDeflate };

// What the Accept-Encoding headers like best (RFC 9110, 12.5.3); gzip if they like both codings the same.
ContentCoding ChooseCoding(const Headers& headers);

// Compresses the body and says so in the head, if that makes it smaller. Leaves alone what is short, larger than
// 4 MiB (a server thread compresses that in some 40 ms), compressed already, or no text.
void CompressBody(Response& response, ContentCoding coding);

}  // namespace dray::http
