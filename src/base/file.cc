#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <span>

#include "base/open_file.h"

namespace dray {

Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes) {
  DRAY_ASSIGN_OR_RETURN(const OpenFile file, OpenFile::Open(path));
  const uint64_t size = file.state().size_bytes;
  if (size > max_bytes) {
    return Status(StatusCode::kResourceExhausted,
                  fmt::format("{}: {} bytes, above the limit of {} for this kind of file",
                              path.string(), size, max_bytes));
  }
  std::string content(size, '\0');
  DRAY_RETURN_IF_ERROR(file.ReadAll(std::as_writable_bytes(std::span(content))));
  return content;
}

bool HasEntry(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path, error);
  return status.type() != std::filesystem::file_type::not_found;
}

Status CheckFolderReadable(const std::filesystem::path& path) {
  if (::faccessat(AT_FDCWD, (path / ".").c_str(), R_OK | X_OK, AT_EACCESS) == 0) return OkStatus();
  const int error = errno;
  const bool denied = error == EACCES || error == EPERM;
  return {error == ENOENT ? StatusCode::kNotFound : StatusCode::kIo,
          fmt::format("{}: the folder cannot be read: {}{}", path.string(), std::strerror(error),
                      denied ? "; give this user the right to list and enter it" : "")};
}

}  // namespace dray
