// Members of a JSON object of unknown origin, each with its kind and its range checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/parse/json.h"
#include "base/status.h"

namespace dray::artifact {

// Errors are kCorrupt and name `where`, the member and the value.
class Fields {
 public:
  // The object must outlive its fields.
  Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  Result<int64_t> Integer(std::string_view key, int64_t least, int64_t most) const;
  Result<double> Number(std::string_view key) const;
  Result<bool> Flag(std::string_view key) const;
  Result<std::string> Text(std::string_view key) const;
  Result<uint64_t> ChecksumOf(std::string_view key) const;
  Result<const Json::Array*> List(std::string_view key) const;
  Result<const Json*> Object(std::string_view key) const;
  bool Has(std::string_view key) const { return object_.Find(key) != nullptr; }

  const std::string& where() const { return where_; }
  Status Refuse(std::string_view key, std::string_view wanted) const;

 private:
  const Json& object_;
  std::string where_;
};

}  // namespace dray::artifact
