#include "serving/load/model_source.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <system_error>

#include "checkpoint/gguf/gguf_files.h"
#include "fetch/unpack_archive.h"

namespace dray::serving {
namespace {

namespace fs = std::filesystem;

// What an unpacked archive leaves free on the disk.
constexpr uint64_t kSpareDiskBytes = uint64_t{1} << 30;

bool IsWordCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// A folder below `unpack_dir` that no other model of this process has.
fs::path NewFolder(const fs::path& unpack_dir) {
  static std::atomic<uint64_t> count{0};
  return unpack_dir / fmt::format("model-{}-{}", ::getpid(), ++count);
}

// The folder itself, or the only folder in it.
fs::path Unwrap(const fs::path& folder) {
  fs::path only;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (!only.empty() || !entry.is_directory()) return folder;
    only = entry.path();
  }
  return only.empty() ? folder : only;
}

Result<uint64_t> RoomOnDisk(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  const auto space = error ? fs::space_info{} : fs::space(folder, error);
  if (error) {
    return Status(StatusCode::kIo,
                  fmt::format("cannot unpack into {}: {}", folder.string(), error.message()));
  }
  return space.available - std::min<uint64_t>(space.available, kSpareDiskBytes);
}

}  // namespace

ModelSource::~ModelSource() {
  std::error_code ignored;
  if (!unpacked_.empty()) fs::remove_all(unpacked_, ignored);
}

Result<fs::path> PathOfUrl(const std::string& url) {
  std::string_view path = url;
  if (path.starts_with("file:")) {
    path.remove_prefix(5);
    if (path.starts_with("//")) path.remove_prefix(2);
  } else if (const size_t colon = path.find("://"); colon != std::string_view::npos) {
    return Status(
        StatusCode::kNotFound,
        fmt::format("models cannot be read from {} addresses in this build: {}; bring the "
                    "files to this machine, and give their path",
                    path.substr(0, std::min<size_t>(colon, 20)), url.substr(0, 200)));
  }
  if (path.empty() || path.find('\0') != std::string_view::npos) {
    return Status(StatusCode::kNotFound, "the model's url names no path");
  }
  return fs::path(path);
}

Result<ModelSource> ModelSource::Open(const std::string& url, const fs::path& unpack_dir) {
  DRAY_ASSIGN_OR_RETURN(fs::path path, PathOfUrl(url));
  std::error_code error;
  if (fs::is_directory(path, error)) return ModelSource(std::move(path), {});
  const bool is_file = fs::is_regular_file(path, error);
  if (is_file && checkpoint::IsGgufFile(path)) return ModelSource(std::move(path), {});
  if (!is_file || !fetch::HasArchiveName(path)) {
    return Status(StatusCode::kNotFound,
                  fmt::format("there is no model at {}: give a folder, a .gguf file, or an archive "
                              "(.zip, .mar, .tar, .tar.gz, .tgz, .tar.z)",
                              path.string()));
  }
  DRAY_ASSIGN_OR_RETURN(const uint64_t max_bytes, RoomOnDisk(unpack_dir));
  const fs::path folder = NewFolder(unpack_dir);
  DRAY_RETURN_IF_ERROR(fetch::UnpackArchive(path, folder, {.max_bytes = max_bytes}));
  return ModelSource(Unwrap(folder), folder);
}

std::string ModelNameOfUrl(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  std::string_view name = url.substr(url.rfind('/') + 1);
  for (const std::string_view ending : {".tar.gz", ".tar.z"}) {
    if (name.size() > ending.size() && name.ends_with(ending))
      name.remove_suffix(ending.size() - 4);
  }
  const size_t dot = name.rfind('.');
  if (dot != std::string_view::npos && dot > 0) name = name.substr(0, dot);
  std::string out(name);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return !IsWordCharacter(c); }, '_');
  return out.empty() ? "model" : out;
}

bool IsModelName(std::string_view name) {
  constexpr size_t kMaxBytes = 128;
  return !name.empty() && name.size() <= kMaxBytes && !name.starts_with('.') &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return IsWordCharacter(c) || c == '.' || c == '-'; });
}

}  // namespace dray::serving
