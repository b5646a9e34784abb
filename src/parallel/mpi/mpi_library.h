// MPI, opened when a group asks for it. One for the process: MPI starts and ends once.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>

#include "base/status.h"
#include "parallel/mpi/mpi_abi.h"

namespace dray::parallel {

// Where a program expects libdray_mpi.so: in its own folder.
std::filesystem::path MpiLibraryBeside(const std::filesystem::path& program);
// Where this program expects it.
std::filesystem::path MpiLibraryPath();
// kNotFound, with what to install, if there is no such file.
Status CheckMpiLibrary(const std::filesystem::path& path);

class MpiLibrary {
 public:
  // Opens the library and starts MPI; returns when all processes of the job have done so.
  // kNotFound if there is no such file, kUnsupported if it cannot be opened or is of another
  // version; the error says what to install. Starts MPI once in a process, and refuses to do so
  // again.
  static Result<std::shared_ptr<MpiLibrary>> Open(const std::filesystem::path& path);

  MpiLibrary(const MpiLibrary&) = delete;
  MpiLibrary& operator=(const MpiLibrary&) = delete;
  // Ends MPI when all processes of the job do so. After a failure MPI is left as it is: the others
  // may never come, and mpirun ends the whole job when a process ends like that.
  ~MpiLibrary();

  const DrayMpiApi& api() const { return *api_; }
  const DrayMpiJob& job() const { return job_; }

  // kUnavailable with MPI's explanation if `error` is one; `what` failed.
  Status Check(int32_t error, std::string_view what) const;
  // A group of this process has failed.
  void SetFailed() { failed_.store(true, std::memory_order_relaxed); }

 private:
  explicit MpiLibrary(const DrayMpiApi* api) : api_(api) {}

  const DrayMpiApi* api_;
  DrayMpiJob job_{};
  std::atomic<bool> failed_{false};
};

}  // namespace dray::parallel
