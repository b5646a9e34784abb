#include "checkpoint/split/ini_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "checkpoint/tensor_source.h"
#include "checkpoint/untrusted_json.h"

namespace dray::checkpoint {
namespace {

constexpr int kMaxLines = 10'000;
constexpr std::string_view kSpaces = " \t\r";

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

// Adds what one line says to `file`. `section` is the section that the line is in, null before the
// first. Returns what is wrong with the line, or nothing.
std::string_view ReadLine(std::string_view line, IniFile& file,
                          std::map<std::string, std::string>*& section) {
  if (line.empty() || line.front() == '#' || line.front() == ';') return {};
  if (line.front() == '[') {
    const std::string_view name = line.substr(1, line.size() - 2);
    if (line.back() != ']' || !IsSaneName(name)) return "is no [section]";
    const auto [it, is_new] = file.try_emplace(std::string(name));
    section = &it->second;
    return is_new ? std::string_view() : "opens a section that stands above already";
  }
  const size_t mark = line.find_first_of("=:");
  const std::string_view key = Trim(line.substr(0, mark));
  if (mark == std::string_view::npos || !IsSaneName(key)) return "is no \"key = value\"";
  if (section == nullptr) return "is before the first [section]";
  const auto [it, is_new] =
      section->try_emplace(LowerCase(key), std::string(Trim(line.substr(mark + 1))));
  return is_new ? std::string_view() : "sets a key that is set above already";
}

}  // namespace

Result<IniFile> ParseIni(std::string_view text, std::string_view what) {
  IniFile file;
  std::map<std::string, std::string>* section = nullptr;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string_view fault = number > kMaxLines ? "is one too many" : ReadLine(line, file, section);
    if (!fault.empty()) {
      return Status(StatusCode::kCorrupt,
                    fmt::format("{}: line {} {}: {}", what, number, fault, Quoted(line)));
    }
  }
  return file;
}

}  // namespace dray::checkpoint
