// A place in a tokenizer file: a JSON value and its path from the file's root, so that each refusal
// names the field, what stands there, and what dray can read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"

namespace dray::tokenizer {

// A text from a file, in double quotes and short enough for a message.
std::string QuoteText(std::string_view text);

class JsonNode {
 public:
  JsonNode(const Json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  const Json& value() const { return *value_; }
  const std::string& path() const { return path_; }

  // "model.type: <problem>", with the file's name in front once the loader adds it.
  Status Error(StatusCode code, std::string_view problem) const;
  // kUnsupported: "<path>: "<value>" is not one of <known>".
  Status Unknown(std::string_view value, std::string_view known) const;

  // The member if it is there and not null. Errors if this is no object.
  Result<std::optional<JsonNode>> Find(std::string_view key) const;
  // The member, which must be there and not null.
  Result<JsonNode> Get(std::string_view key) const;
  // The elements; errors if this is no array.
  Result<std::vector<JsonNode>> Elements() const;

  // The member's value. Without a default, a missing or null member is an error.
  Result<std::string> GetString(std::string_view key) const;
  Result<std::string> GetString(std::string_view key, std::string_view missing) const;
  // A string that is null or missing is no string.
  Result<std::optional<std::string>> FindString(std::string_view key) const;
  Result<bool> GetBool(std::string_view key) const;
  Result<bool> GetBool(std::string_view key, bool missing) const;
  // An integer within [0, limit].
  Result<int64_t> GetCount(std::string_view key, int64_t limit) const;
  // A string of exactly one character.
  Result<char32_t> GetChar(std::string_view key) const;

  Result<std::string> AsString() const;
  Result<int64_t> AsCount(int64_t limit) const;

 private:
  const Json* value_;
  std::string path_;
};

}  // namespace dray::tokenizer
