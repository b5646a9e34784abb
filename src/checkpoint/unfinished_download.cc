#include "checkpoint/unfinished_download.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> kEndings = {".incomplete", ".part",  ".partial",
                                                      ".crdownload", ".aria2", ".download"};
constexpr std::array<std::string_view, 5> kModelFiles = {".safetensors", ".bin", ".json", ".pt",
                                                         ".gguf"};

bool HasEnding(std::string_view name, const auto& endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

// "model.safetensors.6bB4E5Dd"
bool IsTemporaryOfAws(std::string_view name) {
  constexpr size_t kDigits = 8;
  if (name.size() <= kDigits || name[name.size() - kDigits - 1] != '.') return false;
  const std::string_view digits = name.substr(name.size() - kDigits);
  return std::all_of(digits.begin(), digits.end(),
                     [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }) &&
         HasEnding(name.substr(0, name.size() - kDigits - 1), kModelFiles);
}

// ".model.safetensors.AbC123"
bool IsTemporaryOfRsync(std::string_view name) {
  constexpr size_t kLetters = 6;
  return name.size() > kLetters + 1 && name.front() == '.' &&
         name[name.size() - kLetters - 1] == '.' &&
         HasEnding(name.substr(0, name.size() - kLetters - 1), kModelFiles);
}

fs::path FindMark(const fs::path& dir) {
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (HasEnding(name, kEndings) || IsTemporaryOfAws(name) || IsTemporaryOfRsync(name)) {
      return it->path();
    }
  }
  return {};
}

}  // namespace

fs::path FindUnfinishedDownload(const fs::path& dir) {
  for (const fs::path& folder : {dir, dir / ".cache" / "huggingface" / "download"}) {
    fs::path mark = FindMark(folder);
    if (!mark.empty()) return mark;
  }
  return {};
}

Status ExplainByDownload(const Status& status, const fs::path& dir) {
  if (status.ok()) return status;
  const fs::path mark = FindUnfinishedDownload(dir);
  if (mark.empty()) return status;
  return {status.code(),
          fmt::format("{}; a download into this folder is not finished, as {} shows: wait for it, "
                      "or start it again",
                      status.message(), mark.string())};
}

}  // namespace dray::checkpoint
