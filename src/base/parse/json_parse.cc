// Json::Parse over Boost.JSON's event parser, which is compiled into this file alone.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>

#include "base/parse/json.h"
#include "base/parse/parse_number.h"

namespace dray {
namespace {

namespace bj = boost::json;
using ErrorCode = bj::error_code;

// Receives the parser's events and builds the value. Open containers wait on a stack.
class Builder {
 public:
  // NOLINTBEGIN(readability-identifier-naming): names that the event parser prescribes.
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = static_cast<size_t>(-1);
  static constexpr size_t max_string_size = static_cast<size_t>(-1);
  // NOLINTEND(readability-identifier-naming)

  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  bool on_document_begin(ErrorCode&) { return true; }
  bool on_document_end(ErrorCode&) { return true; }

  bool on_array_begin(ErrorCode& ec) { return Count(ec) && Open(Json::MakeArray()); }
  bool on_array_end(size_t, ErrorCode&) { return Close(); }
  bool on_object_begin(ErrorCode& ec) { return Count(ec) && Open(Json::MakeObject()); }
  bool on_object_end(size_t, ErrorCode& ec) {
    if (limits_.duplicates == JsonDuplicates::kRefuse && HasDuplicate(*stack_.back().AsObject())) {
      ec = bj::error::syntax;
      return false;
    }
    return Close();
  }

  bool on_string_part(bj::string_view part, size_t, ErrorCode&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_string(bj::string_view part, size_t, ErrorCode& ec) {
    text_.append(part.data(), part.size());
    return Count(ec) && Add(Json(std::exchange(text_, {})));
  }
  bool on_key_part(bj::string_view part, size_t, ErrorCode&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_key(bj::string_view part, size_t, ErrorCode&) {
    text_.append(part.data(), part.size());
    keys_.push_back(std::exchange(text_, {}));
    return true;
  }

  bool on_number_part(bj::string_view part, ErrorCode&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(int64_t value, bj::string_view, ErrorCode& ec) {
    return Count(ec) && AddNumber(Json(value));
  }
  bool on_uint64(uint64_t value, bj::string_view, ErrorCode& ec) {
    return Count(ec) && AddNumber(Json(value));
  }
  // The library's own value may be off in its last digit, so the text is read again. Where it is
  // beyond a double's range, the library's infinity or zero stands.
  bool on_double(double value, bj::string_view part, ErrorCode& ec) {
    text_.append(part.data(), part.size());
    return Count(ec) && AddNumber(Json(ParseDouble(text_).value_or(value)));
  }
  bool on_bool(bool value, ErrorCode& ec) { return Count(ec) && Add(Json(value)); }
  bool on_null(ErrorCode& ec) { return Count(ec) && Add(Json()); }
  bool on_comment_part(bj::string_view, ErrorCode&) { return true; }
  bool on_comment(bj::string_view, ErrorCode&) { return true; }

  Json Take() { return std::move(root_); }
  const std::string& duplicate() const { return duplicate_; }
  bool has_too_many_values() const { return num_values_ > limits_.max_values; }

 private:
  // False, which ends the parsing, at the first value over the limit.
  bool Count(ErrorCode& ec) {
    ++num_values_;
    if (!has_too_many_values()) return true;
    ec = bj::error::array_too_large;
    return false;
  }

  bool Open(Json container) {
    stack_.push_back(std::move(container));
    return true;
  }

  bool Close() {
    Json done = std::move(stack_.back());
    stack_.pop_back();
    return Add(std::move(done));
  }

  bool AddNumber(Json value) {
    text_.clear();
    return Add(std::move(value));
  }

  bool Add(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (Json::Object* object = stack_.back().AsObject()) {
      object->emplace_back(std::move(keys_.back()), std::move(value));
      keys_.pop_back();
    } else {
      stack_.back().AsArray()->push_back(std::move(value));
    }
    return true;
  }

  bool HasDuplicate(const Json::Object& object) {
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (const auto& member : object) keys.push_back(member.first);
    std::sort(keys.begin(), keys.end());
    const auto twin = std::adjacent_find(keys.begin(), keys.end());
    if (twin == keys.end()) return false;
    duplicate_ = *twin;
    return true;
  }

  const JsonLimits limits_;
  size_t num_values_ = 0;
  Json root_;
  std::vector<Json> stack_;
  std::vector<std::string> keys_;
  std::string text_;
  std::string duplicate_;
};

}  // namespace

Result<Json> Json::Parse(std::string_view text, const JsonLimits& limits) {
  bj::parse_options options;
  options.max_depth = limits.max_depth;
  bj::basic_parser<Builder> parser(options, limits);
  ErrorCode ec;
  const size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (!parser.handler().duplicate().empty()) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("JSON: the key \"{}\" stands twice in one object",
                              parser.handler().duplicate().substr(0, 100)));
  }
  if (parser.handler().has_too_many_values()) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("more than {} JSON values, the limit here; stopped at byte {}",
                              limits.max_values, used));
  }
  if (!ec && used < text.size()) ec = bj::error::extra_data;
  if (ec == bj::error::too_deep) {
    return Status(
        StatusCode::kInvalidArgument,
        fmt::format("JSON: nested deeper than {} levels at byte {}", limits.max_depth, used));
  }
  if (ec) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("JSON: {} at byte {}", ec.message(), used));
  }
  return parser.handler().Take();
}

}  // namespace dray
