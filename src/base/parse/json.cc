// Json's accessors and writer; the parser is in json_parse.cc.
#include "base/parse/json.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/parse/parse_number.h"

namespace dray {
namespace {

// The length of the valid UTF-8 sequence at the start of `text`, or 0.
size_t Utf8SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length = 0;
  if (lead >= 0xC2 && lead <= 0xDF)
    length = 2;
  else if (lead >= 0xE0 && lead <= 0xEF)
    length = 3;
  else if (lead >= 0xF0 && lead <= 0xF4)
    length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and code points above U+10FFFF.
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F)) return 0;
  if ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) return 0;
  return length;
}

void WriteEscape(char c, std::string& out) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
}

void WriteString(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const char c = text[0];
    if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\') {
      WriteEscape(c, out);
      text.remove_prefix(1);
      continue;
    }
    const size_t length = Utf8SequenceLength(text);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  out += '"';
}

class Writer {
 public:
  Writer(int indent, std::string& out) : indent_(indent), out_(out) {}

  void Write(const Json& value, int level) {
    if (const auto* array = value.AsArray()) return WriteArray(*array, level);
    if (const auto* object = value.AsObject()) return WriteObject(*object, level);
    if (const auto* text = value.AsString()) return WriteString(*text, out_);
    if (value.is_null()) {
      out_ += "null";
    } else if (value.is_bool()) {
      out_ += *value.AsBool() ? "true" : "false";
    } else if (value.is_int()) {
      out_ += fmt::format("{}", *value.AsInt64());
    } else {
      WriteDouble(*value.AsDouble());
    }
  }

 private:
  void WriteDouble(double number) {
    if (!std::isfinite(number)) {
      out_ += "null";
    } else if (number == 0 && std::signbit(number)) {
      out_ += "-0.0";  // "-0" would be read as an integer, which has no negative zero
    } else {
      out_ += fmt::format("{}", number);
    }
  }

  void NewLine(int level) {
    if (indent_ == 0) return;
    out_ += '\n';
    out_.append(static_cast<size_t>(indent_) * static_cast<size_t>(level), ' ');
  }

  void WriteArray(const Json::Array& array, int level) {
    out_ += '[';
    for (size_t i = 0; i < array.size(); ++i) {
      if (i > 0) out_ += ',';
      NewLine(level + 1);
      Write(array[i], level + 1);
    }
    if (!array.empty()) NewLine(level);
    out_ += ']';
  }

  void WriteObject(const Json::Object& object, int level) {
    out_ += '{';
    for (size_t i = 0; i < object.size(); ++i) {
      if (i > 0) out_ += ',';
      NewLine(level + 1);
      WriteString(object[i].first, out_);
      out_ += indent_ == 0 ? ":" : ": ";
      Write(object[i].second, level + 1);
    }
    if (!object.empty()) NewLine(level);
    out_ += '}';
  }

  int indent_;
  std::string& out_;
};

}  // namespace

Json::Json(uint64_t value) {
  if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    value_ = static_cast<int64_t>(value);
  } else {
    value_ = static_cast<double>(value);
  }
}

// Through the shortest decimal form, so that 0.1f is written as 0.1 and not as 0.10000000149011612.
Json::Json(float value) : value_(static_cast<double>(value)) {
  if (std::isfinite(value)) value_ = ParseDouble(fmt::format("{}", value)).value_or(value);
}

std::string_view Json::KindName() const {
  static constexpr std::string_view kNames[] = {"null",   "boolean", "number", "number",
                                                "string", "array",   "object"};
  return kNames[value_.index()];
}

std::optional<bool> Json::AsBool() const {
  if (const bool* value = std::get_if<bool>(&value_)) return *value;
  return std::nullopt;
}

std::optional<int64_t> Json::AsInt64() const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return *value;
  if (const double* value = std::get_if<double>(&value_)) {
    constexpr double kExact = 9007199254740992.0;  // 2^53: whole doubles below it are exact
    if (std::abs(*value) <= kExact && std::trunc(*value) == *value)
      return static_cast<int64_t>(*value);
  }
  return std::nullopt;
}

std::optional<double> Json::AsDouble() const {
  if (const double* value = std::get_if<double>(&value_)) return *value;
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  return std::nullopt;
}

const Json* Json::Find(std::string_view key) const {
  const Object* object = AsObject();
  if (object == nullptr) return nullptr;
  for (auto it = object->rbegin(); it != object->rend(); ++it) {
    if (it->first == key) return &it->second;
  }
  return nullptr;
}

void Json::Set(std::string_view key, Json value) {
  Object* object = AsObject();
  DRAY_CHECK(object != nullptr);
  for (auto& [name, old] : *object) {
    if (name == key) {
      old = std::move(value);
      return;
    }
  }
  object->emplace_back(std::string(key), std::move(value));
}

void Json::Append(Json value) {
  Array* array = AsArray();
  DRAY_CHECK(array != nullptr);
  array->push_back(std::move(value));
}

std::string Json::Dump(int indent) const {
  std::string out;
  Writer(indent, out).Write(*this, 0);
  return out;
}

}  // namespace dray
