// libarchive reads the formats; where the entries go is decided here, since a name from an archive
// must never reach a function that follows links or "..". Each part of a name is opened below the
// folder before it.
#include "fetch/unpack_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dray::fetch {
namespace {

namespace fs = std::filesystem;

constexpr size_t kReadBytes = size_t{1} << 20;
// The longest name of an entry, and of one of its parts (ext4, xfs and tmpfs have 255 bytes).
constexpr size_t kMaxNameBytes = 4096;
constexpr size_t kMaxPartBytes = 255;
// The most parts of a name. Models have two or three; the system takes minutes to remove thousands.
constexpr size_t kMaxParts = 32;
// A small archive may grow by more than the ratio up to this size: one of a few text files.
constexpr uint64_t kFreeBytes = uint64_t{1} << 20;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct CloseReader {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, CloseReader>;

Status Refuse(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

Status Failed(std::string_view what, std::string_view name) {
  return {StatusCode::kIo, fmt::format("cannot {} {}: {}", what, name, std::strerror(errno))};
}

Status CannotWrite() {
  return {StatusCode::kIo, fmt::format("cannot be written: {}", std::strerror(errno))};
}

Status Damaged(archive* reader) {
  const char* reason = archive_error_string(reader);
  return {StatusCode::kCorrupt,
          fmt::format("the archive cannot be read: {}", reason == nullptr ? "damaged" : reason)};
}

// For messages: no control characters, and not too long.
std::string Shown(std::string_view name) {
  std::string out(name.substr(0, 200));
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return c < ' ' || c == 127; }, '?');
  return out;
}

// The parts of an entry's name; an error if it could lead out of the target.
Result<std::vector<std::string>> SplitName(std::string_view name) {
  const auto refuse = [&](std::string_view why) {
    return Refuse(
        fmt::format("the archive's entry \"{}\" {}; pack the files again with relative "
                    "names",
                    Shown(name), why));
  };
  if (name.size() > kMaxNameBytes) return refuse("has a name over 4096 bytes");
  if (name.starts_with('/')) return refuse("has an absolute name");
  if (name.find('\\') != std::string_view::npos) return refuse("has a backslash in its name");
  std::vector<std::string> parts;
  while (!name.empty()) {
    const size_t slash = std::min(name.find('/'), name.size());
    const std::string_view part = name.substr(0, slash);
    name.remove_prefix(std::min(slash + 1, name.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") return refuse("leads out of the folder by \"..\"");
    if (part.size() > kMaxPartBytes) return refuse("has a part over 255 bytes in its name");
    if (parts.size() == kMaxParts) return refuse("has more than 32 parts in its name");
    parts.emplace_back(part);
  }
  return parts;
}

// Writes the entries of one archive below a folder.
class Unpacker {
 public:
  Unpacker(Descriptor root, const UnpackLimits& limits, uint64_t archive_bytes)
      : root_(std::move(root)),
        limits_(limits),
        max_bytes_(
            std::min(limits.max_bytes, std::max(kFreeBytes, archive_bytes * limits.max_ratio))) {}

  Status UnpackAll(archive* reader);

 private:
  Status Unpack(archive* reader, archive_entry* entry);
  // Opens the folder of these parts below the root, and makes those that are missing.
  Result<Descriptor> OpenFolder(const std::vector<std::string>& parts, size_t count);
  // Counts a folder that was made. One name can make several of them.
  Status CountFolder();
  Status WriteFile(archive* reader, archive_entry* entry, int fd);
  // Counts the bytes by which a file grows to `end`.
  Status CountBytes(uint64_t end, uint64_t& file_bytes);

  Descriptor root_;
  const UnpackLimits& limits_;
  const uint64_t max_bytes_;
  uint64_t num_entries_ = 0;
  uint64_t num_folders_ = 0;
  uint64_t num_bytes_ = 0;
};

Status Unpacker::UnpackAll(archive* reader) {
  archive_entry* entry = nullptr;
  while (true) {
    const int code = archive_read_next_header(reader, &entry);
    if (code == ARCHIVE_EOF) break;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return Damaged(reader);
    if (++num_entries_ > limits_.max_entries) {
      return {StatusCode::kResourceExhausted,
              fmt::format("the archive has more than {} entries; pack fewer files",
                          limits_.max_entries)};
    }
    DRAY_RETURN_IF_ERROR(Unpack(reader, entry));
  }
  if (num_entries_ == 0) return {StatusCode::kCorrupt, "the archive has no entries"};
  return OkStatus();
}

Status Unpacker::Unpack(archive* reader, archive_entry* entry) {
  const char* raw_name = archive_entry_pathname(entry);
  // A name in UTF-8 that the locale, which is C, cannot express.
  if (raw_name == nullptr) raw_name = archive_entry_pathname_utf8(entry);
  if (raw_name == nullptr) return Refuse("the archive has an entry without a readable name");
  const std::string name = raw_name;
  DRAY_ASSIGN_OR_RETURN(const auto parts, SplitName(name));
  const auto type = archive_entry_filetype(entry);
  const bool link =
      archive_entry_hardlink(entry) != nullptr || (type != AE_IFREG && type != AE_IFDIR);
  if (link) {
    return Refuse(
        fmt::format("the archive's entry \"{}\" is a link or a device; pack files and "
                    "folders only",
                    Shown(name)));
  }
  if (type == AE_IFDIR) return OpenFolder(parts, parts.size()).status();
  if (parts.empty()) return Refuse("the archive has a file without a name");
  DRAY_ASSIGN_OR_RETURN(const Descriptor folder, OpenFolder(parts, parts.size() - 1));
  const Descriptor file(::openat(folder.get(), parts.back().c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0 && errno == EEXIST) {
    return Refuse(fmt::format("the archive has \"{}\" twice", Shown(name)));
  }
  if (file.get() < 0) return Failed("write", Shown(name));
  return WriteFile(reader, entry, file.get()).WithPrefix(Shown(name));
}

Result<Descriptor> Unpacker::OpenFolder(const std::vector<std::string>& parts, size_t count) {
  Descriptor folder(::fcntl(root_.get(), F_DUPFD_CLOEXEC, 0));
  for (size_t i = 0; i < count && folder.get() >= 0; ++i) {
    const char* part = parts[i].c_str();
    if (::mkdirat(folder.get(), part, 0700) == 0) {
      DRAY_RETURN_IF_ERROR(CountFolder());
    } else if (errno != EEXIST) {
      return Failed("make the folder", Shown(parts[i]));
    }
    folder =
        Descriptor(::openat(folder.get(), part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (folder.get() >= 0) return folder;
  if (errno != ENOTDIR) return Failed("open the folder of", Shown(parts[count - 1]));
  return Refuse(
      fmt::format("the archive has \"{}\" as a file and as a folder", Shown(parts[count - 1])));
}

Status Unpacker::CountFolder() {
  if (++num_folders_ <= limits_.max_entries) return OkStatus();
  return {StatusCode::kResourceExhausted,
          fmt::format("the archive's names make more than {} folders; pack fewer of them",
                      limits_.max_entries)};
}

Status Unpacker::CountBytes(uint64_t end, uint64_t& file_bytes) {
  if (end < file_bytes || end - file_bytes > max_bytes_ - num_bytes_) {
    return {StatusCode::kResourceExhausted,
            fmt::format("the archive's files are larger than {} bytes, which is what its size "
                        "and the free disk space allow; unpack it yourself, and register the "
                        "folder",
                        max_bytes_)};
  }
  num_bytes_ += end - file_bytes;
  file_bytes = end;
  return OkStatus();
}

Status Unpacker::WriteFile(archive* reader, archive_entry* entry, int fd) {
  uint64_t file_bytes = 0;
  while (true) {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int code = archive_read_data_block(reader, &data, &size, &offset);
    if (code == ARCHIVE_EOF) break;
    if (code != ARCHIVE_OK) return Damaged(reader);
    if (offset < 0) return Damaged(reader);
    // A sparse file counts with its holes.
    DRAY_RETURN_IF_ERROR(CountBytes(static_cast<uint64_t>(offset) + size, file_bytes));
    for (size_t done = 0; done < size;) {
      const ssize_t written = ::pwrite(fd, static_cast<const char*>(data) + done, size - done,
                                       static_cast<off_t>(offset) + static_cast<off_t>(done));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return CannotWrite();
      done += static_cast<size_t>(written);
    }
  }
  // A hole at the end has no data.
  const auto whole = static_cast<uint64_t>(archive_entry_size(entry));
  if (archive_entry_size_is_set(entry) != 0 && whole > file_bytes) {
    DRAY_RETURN_IF_ERROR(CountBytes(whole, file_bytes));
  }
  return ::ftruncate(fd, static_cast<off_t>(file_bytes)) == 0 ? OkStatus() : CannotWrite();
}

Result<Reader> OpenArchive(const fs::path& path) {
  Reader reader(archive_read_new());
  if (reader == nullptr) return Status(StatusCode::kResourceExhausted, "no memory for an archive");
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_compress(reader.get());
  archive_read_support_format_tar(reader.get());
  archive_read_support_format_zip_seekable(reader.get());
  if (archive_read_open_filename(reader.get(), path.c_str(), kReadBytes) != ARCHIVE_OK) {
    return Damaged(reader.get()).WithPrefix(path.string());
  }
  return reader;
}

Status UnpackInto(const fs::path& archive, const fs::path& folder, const UnpackLimits& limits) {
  std::error_code error;
  const uint64_t archive_bytes = fs::file_size(archive, error);
  if (error) {
    return {StatusCode::kNotFound,
            fmt::format("cannot read {}: {}", archive.string(), error.message())};
  }
  DRAY_ASSIGN_OR_RETURN(const Reader reader, OpenArchive(archive));
  Descriptor root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.get() < 0) return Failed("open", folder.string());
  return Unpacker(std::move(root), limits, archive_bytes)
      .UnpackAll(reader.get())
      .WithPrefix(archive.string());
}

}  // namespace

bool HasArchiveName(const fs::path& path) {
  std::string name = path.filename().string();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::string_view, 6> kEndings = {".zip",    ".mar", ".tar",
                                                        ".tar.gz", ".tgz", ".tar.z"};
  return std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) {
    return name.size() > ending.size() && name.ends_with(ending);
  });
}

Status UnpackArchive(const fs::path& archive, const fs::path& target, const UnpackLimits& limits) {
  // Under another name until it is whole, so that a half model is never taken for a model.
  std::string partial = target.string() + ".partial-XXXXXX";
  if (::mkdtemp(partial.data()) == nullptr) return Failed("make the folder", partial);
  Status status = UnpackInto(archive, partial, limits);
  if (status.ok() && ::rename(partial.c_str(), target.c_str()) != 0) {
    status = Failed("make the folder", target.string());
  }
  std::error_code ignored;
  if (!status.ok()) fs::remove_all(partial, ignored);
  return status;
}

}  // namespace dray::fetch
