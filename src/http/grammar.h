// The small pieces of HTTP's grammar (RFC 9110 and 9112) of which the request parser is made.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace dray::http {

// One or more of the characters that names may have.
bool IsToken(std::string_view text);

// What a header's value may hold: tab, space, visible ASCII and the bytes above ASCII.
bool IsFieldChar(char c);

// Without spaces and tabs at its ends.
std::string_view Trim(std::string_view text);

// Whether a comma-separated list such as Connection's holds `token`, in any case.
bool ListHolds(std::string_view list, std::string_view token);

// What may stand in a Host header: a name or an address, and a port.
bool IsHostChar(char c);

// The size in the line before a chunk (RFC 9112, 7.1): 1 to 16 hexadecimal digits. Extensions such as
// `;name`, `;name=value` and `; name="a quoted; value"` may follow; none is known here, so they are
// checked and ignored. Nothing if the line is anything else.
std::optional<uint64_t> ReadChunkSize(std::string_view line);

}  // namespace dray::http
