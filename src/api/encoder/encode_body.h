// What the dialects' requests to encoders have in common: reading a body, and its members.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"
#include "serving/encoder/encode_call.h"

namespace dray::api {

// Texts of one request: as many as OpenAI takes.
inline constexpr size_t kMaxTexts = 2048;

// The body as an object. kInvalidArgument says what is wrong, also if it has more values than kMaxTexts
// lists of 512 tokens.
Result<Json> ParseEncodeBody(std::string_view body);

// Whether texts may be empty.
enum class EmptyText { kAllow, kRefuse };

// A string or a list of 1 to kMaxTexts strings, moved into `inputs`. `field` names them in errors.
Status ReadTexts(std::string_view field, Json& value, EmptyText empty,
                 std::vector<serving::EncodeInput>& inputs);
// One string.
Status ReadText(std::string_view field, Json& value, EmptyText empty, std::string& text);
// A member that is true or false; `otherwise` if it is absent or null.
Result<bool> ReadFlag(const Json& body, std::string_view field, bool otherwise);
// The member, which must be there.
Result<Json*> RequireMember(Json& body, std::string_view field);

}  // namespace dray::api
