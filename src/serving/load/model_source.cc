#include "serving/load/model_source.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
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

// Of a character in UTF-8 of several bytes: any but the first.
bool IsContinuationByte(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::string_view WithoutExtension(std::string_view name) {
  for (const std::string_view ending : {".tar.gz", ".tar.z"}) {
    if (name.size() > ending.size() && name.ends_with(ending)) {
      return name.substr(0, name.size() - ending.size());
    }
  }
  const size_t dot = name.rfind('.');
  return dot == 0 ? name : name.substr(0, dot);
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

Status CannotUnpack(const fs::path& folder, const std::error_code& error) {
  return {StatusCode::kIo,
          fmt::format("cannot unpack into {}: {}; download_dir names another folder",
                      folder.string(), error.message())};
}

std::error_code LastError() { return {errno, std::generic_category()}; }

// Makes the folder if there is none, for this user alone, and returns its path without symbolic links.
// Another user who can write to it could exchange a model between its unpacking and its loading, so
// such a folder is refused, unless only owners may rename what lies in it.
Result<fs::path> MakeFolder(const fs::path& folder) {
  std::error_code error;
  const fs::path name = folder.has_filename() ? folder : folder.parent_path();
  if (name.has_parent_path()) fs::create_directories(name.parent_path(), error);
  if (error) return CannotUnpack(folder, error);
  if (::mkdir(name.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    return CannotUnpack(folder, LastError());
  }
  fs::path path = fs::canonical(name, error);
  if (error) return CannotUnpack(folder, error);
  struct stat state {};
  if (::stat(path.c_str(), &state) != 0) return CannotUnpack(folder, LastError());
  const bool is_owned = state.st_uid == ::geteuid() || state.st_uid == 0;
  const bool others_write = (state.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  if (is_owned && (!others_write || (state.st_mode & S_ISVTX) != 0)) return path;
  return Status(StatusCode::kIo,
                fmt::format("cannot unpack into {}: its owner is user {}, its mode {:o}, so other "
                            "users may change what lies in it; set download_dir to a folder of "
                            "your own",
                            path.string(), state.st_uid, state.st_mode & 07777));
}

Result<uint64_t> RoomOnDisk(const fs::path& folder) {
  std::error_code error;
  const auto space = fs::space(folder, error);
  if (error) return CannotUnpack(folder, error);
  return space.available - std::min<uint64_t>(space.available, kSpareDiskBytes);
}

}  // namespace

fs::path DefaultUnpackDir() {
  return fs::temp_directory_path() / fmt::format("dray-models-{}", ::geteuid());
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
  ModelSource source;
  DRAY_ASSIGN_OR_RETURN(source.path_, PathOfUrl(url));
  std::error_code error;
  if (fs::is_directory(source.path_, error)) return source;
  const bool is_file = fs::is_regular_file(source.path_, error);
  if (is_file && checkpoint::IsGgufFile(source.path_)) return source;
  if (!is_file || !fetch::HasArchiveName(source.path_)) {
    return Status(StatusCode::kNotFound,
                  fmt::format("there is no model at {}: give a folder, a .gguf file, or an archive "
                              "(.zip, .mar, .tar, .tar.gz, .tgz, .tar.z)",
                              source.path_.string()));
  }
  DRAY_ASSIGN_OR_RETURN(const fs::path parent, MakeFolder(unpack_dir));
  // First, for it frees what a killed process has left there.
  DRAY_ASSIGN_OR_RETURN(source.unpacked_, TemporaryFolder::Make(parent, "model-"));
  DRAY_ASSIGN_OR_RETURN(const uint64_t max_bytes, RoomOnDisk(parent));
  const fs::path files = source.unpacked_.path() / "files";
  DRAY_RETURN_IF_ERROR(fetch::UnpackArchive(source.path_, files, {.max_bytes = max_bytes}));
  source.path_ = Unwrap(files);
  return source;
}

std::string ModelNameOfUrl(std::string_view url) {
  const bool is_folder = url.ends_with('/');
  while (url.ends_with('/')) url.remove_suffix(1);
  std::string_view name = url.substr(url.rfind('/') + 1);
  if (!is_folder) name = WithoutExtension(name);
  std::string out;
  for (const char c : name) {
    if (!IsContinuationByte(c)) out += IsWordCharacter(c) ? c : '_';
  }
  return out.empty() ? "model" : out;
}

bool IsModelName(std::string_view name) {
  constexpr size_t kMaxBytes = 128;
  return !name.empty() && name.size() <= kMaxBytes && !name.starts_with('.') &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return IsWordCharacter(c) || c == '.' || c == '-'; });
}

}  // namespace dray::serving
