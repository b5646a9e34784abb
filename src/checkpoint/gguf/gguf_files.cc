#include "checkpoint/gguf/gguf_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "base/file.h"
#include "base/parse/parse_number.h"

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".gguf";
constexpr std::string_view kOf = "-of-";
constexpr size_t kDigits = 5;
constexpr int64_t kMaxParts = 10'000;

// "model-00002-of-00003.gguf" taken apart.
struct PartName {
  std::string stem;  // "model"
  int64_t number = 0;
  int64_t count = 0;

  std::string Name(int64_t part) const {
    return fmt::format("{}-{:05}{}{:05}{}", stem, part, kOf, count, kExtension);
  }
};

std::optional<int64_t> Digits(std::string_view text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  return plain ? ParseInt64(text) : std::nullopt;
}

std::optional<PartName> ParsePartName(const std::string& file_name) {
  constexpr size_t kTail = 1 + kDigits + kOf.size() + kDigits;
  if (!file_name.ends_with(kExtension)) return std::nullopt;
  const std::string_view name(file_name.data(), file_name.size() - kExtension.size());
  if (name.size() <= kTail) return std::nullopt;
  const std::string_view tail = name.substr(name.size() - kTail);
  if (tail[0] != '-' || tail.substr(1 + kDigits, kOf.size()) != kOf) return std::nullopt;
  const auto number = Digits(tail.substr(1, kDigits));
  const auto count = Digits(tail.substr(1 + kDigits + kOf.size()));
  if (!number || !count || *number < 1 || *number > *count || *count > kMaxParts) {
    return std::nullopt;
  }
  return PartName{std::string(name.substr(0, name.size() - kTail)), *number, *count};
}

}  // namespace

bool IsGgufFile(const fs::path& path) {
  std::error_code error;
  return path.extension() == kExtension && !fs::is_directory(path, error);
}

fs::path ModelDir(const fs::path& path) {
  if (!IsGgufFile(path)) return path;
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

Result<std::vector<fs::path>> FindGgufParts(const fs::path& file) {
  if (!HasEntry(file)) {
    return Status(StatusCode::kNotFound, fmt::format("{}: there is no such file", file.string()));
  }
  const auto part = ParsePartName(file.filename().string());
  if (!part) return std::vector<fs::path>{file};
  std::vector<fs::path> files;
  for (int64_t number = 1; number <= part->count; ++number) {
    files.push_back(file.parent_path() / part->Name(number));
    if (HasEntry(files.back())) continue;
    return Status(
        StatusCode::kNotFound,
        fmt::format("{}: it is one of {} parts, and {} is missing; put it beside the others",
                    file.string(), part->count, files.back().filename().string()));
  }
  return files;
}

Result<std::vector<fs::path>> ListGgufModels(const fs::path& dir) {
  std::vector<fs::path> models;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code unreadable;
    if (!IsGgufFile(it->path()) || !it->is_regular_file(unreadable)) continue;
    const auto part = ParsePartName(name);
    if (name.starts_with("mmproj") || (part && part->number != 1)) continue;
    models.push_back(it->path());
  }
  if (error) {
    return Status(StatusCode::kIo,
                  fmt::format("{}: cannot list the directory: {}", dir.string(), error.message()));
  }
  std::sort(models.begin(), models.end());
  return models;
}

}  // namespace dray::checkpoint
