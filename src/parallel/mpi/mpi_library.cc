#include "parallel/mpi/mpi_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <string>
#include <system_error>

namespace dray::parallel {
namespace {

constexpr std::string_view kInstall =
    "to run ranks over MPI, install Open MPI (Debian, Ubuntu: apt-get install openmpi-bin)";

// The library's functions, of the version that this program was built with.
Result<const DrayMpiApi*> Load(const std::filesystem::path& path) {
  // Open MPI's own plug-ins look for its symbols among the global ones. The library stays open: MPI
  // does not survive being unloaded.
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("cannot open {}: {}; {}", path.string(), ::dlerror(), kInstall));
  }
  const auto function =
      reinterpret_cast<DrayMpiGetApiFunction>(::dlsym(library, kDrayMpiGetApiName));
  const DrayMpiApi* const api = function == nullptr ? nullptr : function();
  if (api == nullptr || api->version != kDrayMpiVersion) {
    return Status(
        StatusCode::kUnsupported,
        fmt::format("{} is not of this version of dray (its interface has version {}, the "
                    "program's has {}); install both from one build",
                    path.string(), api == nullptr ? 0 : api->version, kDrayMpiVersion));
  }
  return api;
}

}  // namespace

std::filesystem::path MpiLibraryBeside(const std::filesystem::path& program) {
  return program.parent_path() / "libdray_mpi.so";
}

std::filesystem::path MpiLibraryPath() {
  std::error_code error;
  return MpiLibraryBeside(std::filesystem::read_symlink("/proc/self/exe", error));
}

Status CheckMpiLibrary(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) return OkStatus();
  return {StatusCode::kNotFound,
          fmt::format("there is no {}: this dray was built without MPI; install libopenmpi-dev and "
                      "build it again, or copy the file from such a build",
                      path.string())};
}

Result<std::shared_ptr<MpiLibrary>> MpiLibrary::Open(const std::filesystem::path& path) {
  DRAY_RETURN_IF_ERROR(CheckMpiLibrary(path));
  DRAY_ASSIGN_OR_RETURN(const DrayMpiApi* const api, Load(path));
  static std::atomic<bool> started_before{false};
  if (started_before.exchange(true)) {
    return Status(StatusCode::kUnsupported,
                  "MPI has been started in this process before, which it allows once: restart the "
                  "process");
  }
  std::shared_ptr<MpiLibrary> library(new MpiLibrary(api));
  const Status started = library->Check(api->start(&library->job_), "MPI does not start");
  if (!started.ok()) {
    library->SetFailed();
    return started;
  }
  return library;
}

MpiLibrary::~MpiLibrary() {
  if (!failed_.load(std::memory_order_relaxed)) api_->finish();
}

Status MpiLibrary::Check(int32_t error, std::string_view what) const {
  if (error == 0) return OkStatus();
  std::array<char, 512> text{};
  api_->error_text(error, text.data(), text.size());
  return {StatusCode::kUnavailable,
          fmt::format("{}: {} says: {}", what, api_->implementation, text.data())};
}

}  // namespace dray::parallel
