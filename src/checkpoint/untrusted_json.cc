#include "checkpoint/untrusted_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace dray::checkpoint {
namespace {

// About 125,000 tensors in one file, at eight values each; 40 MB when parsed.
constexpr size_t kMaxJsonValues = 1'000'000;

// What Linux allows for the name of a file (NAME_MAX).
constexpr size_t kMaxFileNameBytes = 255;

}  // namespace

Result<Json> ParseUntrustedJson(std::string_view text, std::string_view what) {
  Result<Json> json =
      Json::Parse(text, {.max_values = kMaxJsonValues, .duplicates = JsonDuplicates::kRefuse});
  if (json.status().code() == StatusCode::kResourceExhausted) return json.status().WithPrefix(what);
  if (!json.ok())
    return Status(StatusCode::kCorrupt, fmt::format("{}: {}", what, json.status().message()));
  if (!json->is_object()) {
    return Status(StatusCode::kCorrupt,
                  fmt::format("{}: it is a {}, not an object", what, json->KindName()));
  }
  return json;
}

bool IsSaneName(std::string_view name) {
  return !name.empty() && std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

bool IsPlainFileName(std::string_view name) {
  return IsSaneName(name) && name.size() <= kMaxFileNameBytes && name != "." && name != ".." &&
         name.find_first_of("/\\") == std::string_view::npos;
}

Status CheckNotGitLfsPointer(std::span<const std::byte> bytes, std::string_view path) {
  constexpr std::string_view kStart = "version https://git-lfs.github.com/spec/";
  if (bytes.size() < kStart.size() ||
      std::memcmp(bytes.data(), kStart.data(), kStart.size()) != 0) {
    return OkStatus();
  }
  return {StatusCode::kInvalidArgument,
          fmt::format(
              "{}: this is a Git LFS pointer, not the weights; run \"git lfs pull\" in the model's "
              "directory",
              path)};
}

}  // namespace dray::checkpoint
