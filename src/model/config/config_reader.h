// Typed reading of a config.json. Errors name file and key. A reader remembers which keys were
// read, so that a key that would change the result cannot be ignored unnoticed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "base/status.h"

namespace dray::model {

// A size's name and its synonym, e.g. {"n_embd", "hidden_size"}.
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
  // The key's value, if the key is present and not null; otherwise null. Marks the key as read.
  const Json* Find(std::string_view key);
  bool Has(std::string_view key) { return Find(key) != nullptr; }
  // True if the key is present and null. Some configurations mean "none" by that, not "the
  // default".
  bool IsNull(std::string_view key);

  // The overloads without a default refuse an absent key. An integer must lie in [min, max].
  Result<int64_t> Int(std::string_view key, int64_t min, int64_t max);
  Result<int64_t> Int(std::string_view key, int64_t min, int64_t max, int64_t default_value);
  // Reads a size that has two names. A file may contain both if their values agree.
  Result<int64_t> Int(KeyAndSynonym keys, int64_t min, int64_t max, int64_t default_value);
  Result<double> Double(std::string_view key, double default_value);
  // A number in [min, max].
  Result<double> Double(std::string_view key, double min, double max);
  Result<bool> Bool(std::string_view key, bool default_value);
  Result<std::string> String(std::string_view key, std::string_view default_value);
  // A list of strings; empty if the key is absent.
  Result<std::vector<std::string>> Names(std::string_view key);

  // An error that names `key`, its value, and what is wrong with it.
  Status Refuse(std::string_view key, std::string_view reason) const;
  // The same where the value is valid, but asks for what dray does not do: kUnsupported.
  Status RefuseUnsupported(std::string_view key, std::string_view reason) const;
  // Refuses `key` unless it is absent, null or equal to `neutral`: any other value changes the
  // result in a way that dray does not compute.
  Status RefuseUnless(std::string_view key, const Json& neutral);

  // `nested` reads the object under `key`. Adds its unread keys to those of this reader.
  void AddUnreadKeysOf(std::string_view key, const ConfigReader& nested);
  // The keys that were not read, in the object's order; those of nested objects as "key.nested".
  // Keys whose value is null mean nothing and are left out.
  std::vector<std::string> UnreadKeys() const;

 private:
  std::string where_;
  const Json& object_;
  std::set<std::string, std::less<>> read_;
  std::vector<std::string> nested_unread_;
};

}  // namespace dray::model
