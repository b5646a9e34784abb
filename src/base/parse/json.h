// JSON as a plain value. The parser behind it (json_parse.cc) is an outside library's event parser;
// it is iterative, so depth costs no stack, and it checks UTF-8. Members keep the file's order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace dray {

enum class JsonDuplicates {
  kLastWins,  // what Python and browsers do
  kRefuse,    // where two readers that disagree would be a danger, e.g. safetensors headers
};

// Parsing stops at the first value over a limit. A value takes up to 72 bytes (a member of an
// object) but as little as two of text, so without a limit "[0,0,0,..." would take 36 times its size.
struct JsonLimits {
  // For files of a model. The largest known tokenizer.json have some 2 million values (260,000
  // tokens, and 510,000 merges of three values each).
  static constexpr size_t kModelFileValues = 8'000'000;

  size_t max_depth = 100;
  // Strings, numbers, literals, arrays and objects, the outermost one included; keys are not counted.
  size_t max_values = kModelFileValues;
  JsonDuplicates duplicates = JsonDuplicates::kLastWins;
};

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;  // null
  // NOLINTBEGIN(google-explicit-constructor): Set("key", 3) shall read as JSON does.
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(static_cast<int64_t>(value)) {}
  Json(int64_t value) : value_(value) {}
  Json(uint64_t value);
  Json(double value) : value_(value) {}
  Json(float value);
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  // NOLINTEND(google-explicit-constructor)

  static Json MakeArray() { return Json(Array{}); }
  static Json MakeObject(std::initializer_list<Member> members = {}) {
    return Json(Object(members));
  }

  // One JSON document, with nothing but white space around it. Takes time in proportion to the
  // text. Errors name the byte offset; kResourceExhausted, naming the limit, if there are too many
  // values, else kInvalidArgument.
  static Result<Json> Parse(std::string_view text, const JsonLimits& limits = {});

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_number() const { return is_int() || std::holds_alternative<double>(value_); }
  bool is_int() const { return std::holds_alternative<int64_t>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  // "null", "boolean", "number", "string", "array" or "object", for error messages.
  std::string_view KindName() const;

  // The value if it has that kind. Integers beyond int64 are doubles; a double that is whole and
  // within 2^53 also reads as an integer (1e3, 4.0).
  std::optional<bool> AsBool() const;
  std::optional<int64_t> AsInt64() const;
  std::optional<double> AsDouble() const;
  const std::string* AsString() const { return std::get_if<std::string>(&value_); }
  std::string* AsString() { return std::get_if<std::string>(&value_); }
  const Array* AsArray() const { return std::get_if<Array>(&value_); }
  const Object* AsObject() const { return std::get_if<Object>(&value_); }
  Array* AsArray() { return std::get_if<Array>(&value_); }
  Object* AsObject() { return std::get_if<Object>(&value_); }

  // The member of that name, or null if this is no object or has none. With duplicates, the last.
  // Looks at every member: to read all of a large object, go over AsObject() once instead.
  const Json* Find(std::string_view key) const;
  // Adds or replaces a member; *this must be an object. Looks at every member: to build a large
  // object, fill an Object whose names are known to differ.
  void Set(std::string_view key, Json value);
  // Appends an element; *this must be an array.
  void Append(Json value);

  // Compact text, or pretty with `indent` spaces a level. Doubles in their shortest exact form; NaN
  // and infinities, which JSON lacks, become null. Bytes that are not UTF-8 become U+FFFD.
  std::string Dump(int indent = 0) const;

  bool operator==(const Json&) const = default;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

}  // namespace dray
