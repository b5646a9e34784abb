// Typed reading of a config.json, with errors that name file and key, and a memory of which keys
// were read, so that a key which would change the result cannot be overlooked in silence.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"

namespace dray::model {

// A size's name and the other name it may have, e.g. {"n_embd", "hidden_size"}.
struct KeyAndSynonym {
  std::string_view key;
  std::string_view synonym = {};
};

class ConfigReader {
 public:
  // `where` names the object in errors: "config.json" or "config.json: rope_parameters". `object`
  // must be a JSON object and outlive the reader.
  ConfigReader(std::string where, const Json& object) : where_(std::move(where)), object_(object) {}

  const std::string& where() const { return where_; }
  // Present and not null; marks the key as read.
  const Json* Find(std::string_view key);
  bool Has(std::string_view key) { return Find(key) != nullptr; }
  // Present and null, which some configurations mean as "none" rather than as "the default".
  bool IsNull(std::string_view key);

  // The first overloads refuse an absent key, the others give the default. An integer must lie in
  // [min, max].
  Result<int64_t> Int(std::string_view key, int64_t min, int64_t max);
  Result<int64_t> Int(std::string_view key, int64_t min, int64_t max, int64_t default_value);
  // The same for a size that may have two names; both may stand there if they agree.
  Result<int64_t> Int(KeyAndSynonym keys, int64_t min, int64_t max, int64_t default_value);
  Result<double> Double(std::string_view key, double default_value);
  // A number in [min, max].
  Result<double> Double(std::string_view key, double min, double max);
  Result<bool> Bool(std::string_view key, bool default_value);
  Result<std::string> String(std::string_view key, std::string_view default_value);

  // An error that names `key`, its value, and what is wrong with it.
  Status Refuse(std::string_view key, std::string_view reason) const;
  // Refuses `key` unless it is absent, null or equal to `neutral`: it would change the result, and
  // we do not compute it.
  Status RefuseUnless(std::string_view key, const Json& neutral);

  // Makes the keys that nobody asked `nested` for, an object under `key`, unread keys of this one.
  void AddUnreadKeysOf(std::string_view key, const ConfigReader& nested);
  // Keys of the object that nobody asked for, in order, and those of nested objects as
  // "key.nested". Keys whose value is null say nothing and are left out.
  std::vector<std::string> UnreadKeys() const;

 private:
  std::string where_;
  const Json& object_;
  std::set<std::string, std::less<>> read_;
  std::vector<std::string> nested_unread_;
};

}  // namespace dray::model
