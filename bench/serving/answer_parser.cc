#include "answer_parser.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace dray::bench {
namespace {

bool EqualsLower(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == b;
         });
}

}  // namespace

std::string_view FindHeader(std::string_view head, std::string_view name) {
  while (!head.empty()) {
    const size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && EqualsLower(line.substr(0, colon), name)) {
      const size_t begin = line.find_first_not_of(' ', colon + 1);
      return begin == std::string_view::npos ? "" : line.substr(begin);
    }
    head.remove_prefix(std::min(end + 2, head.size()));
  }
  return "";
}

std::optional<HttpAnswer> ParseAnswer(std::string_view bytes) {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  const size_t head_size = bytes.find("\r\n\r\n");
  if (head_size == std::string_view::npos) return std::nullopt;
  const std::string_view head = bytes.substr(0, head_size);
  HttpAnswer answer;
  const std::string_view status = head.substr(std::min(kVersion.size(), head.size()), 3);
  std::from_chars(status.data(), status.data() + status.size(), answer.status);
  const std::string_view length = FindHeader(head, "content-length");
  size_t body_size = 0;
  std::from_chars(length.data(), length.data() + length.size(), body_size);
  answer.body = bytes.substr(head_size + 4);
  if (answer.body.size() < body_size) return std::nullopt;
  answer.keeps_connection = !EqualsLower(FindHeader(head, "connection"), "close");
  return answer;
}

}  // namespace dray::bench
