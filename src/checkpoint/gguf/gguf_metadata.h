// The key/value part of a GGUF file, as JSON: numbers, booleans, strings and arrays of them keep
// their values, so that whoever knows a key reads it as it reads any other configuration.
#pragma once

#include "base/parse/byte_reader.h"
#include "base/parse/json.h"
#include "base/status.h"

namespace dray::checkpoint {

// The next `count` pairs as an object, in the file's order. kCorrupt for what no writer makes:
// keys that are empty, longer than 65535 bytes or repeated, types that do not exist, values that
// run over the end; kResourceExhausted above what any tokenizer needs (4 million values in all
// arrays together, arrays in arrays four deep), since a value takes more memory than its bytes
// in the file.
Result<Json> ReadGgufMetadata(ByteReader& reader, uint64_t count);

// A length and so many bytes. kCorrupt above `max_bytes`.
Result<std::string_view> ReadGgufString(ByteReader& reader, uint64_t max_bytes);

}  // namespace dray::checkpoint
