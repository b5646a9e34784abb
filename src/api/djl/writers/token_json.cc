#include "api/djl/writers/token_json.h"

#include <string>

namespace dray::api {

Json TokenJson(int32_t id, std::string_view text, std::optional<float> logprob,
               const TokenNames& names) {
  return Json::MakeObject({{"id", static_cast<int64_t>(id)},
                           {"text", text},
                           {std::string(names.logprob), logprob ? Json(*logprob) : Json()}});
}

Json TokenJson(const serving::TextToken& token, const TokenNames& names) {
  Json json = TokenJson(token.id, token.text, token.logprob, names);
  if (token.special && !names.special.empty()) json.Set(names.special, true);
  return json;
}

Json TokensJson(const std::vector<serving::TextToken>& tokens, const TokenNames& names) {
  Json array = Json::MakeArray();
  for (const serving::TextToken& token : tokens) array.Append(TokenJson(token, names));
  return array;
}

}  // namespace dray::api
