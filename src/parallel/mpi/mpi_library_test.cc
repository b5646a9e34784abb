// What the program says where MPI cannot be had. tests/parallel has jobs under mpirun.
#include "parallel/mpi/mpi_library.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace dray::parallel {
namespace {

std::filesystem::path InScratch(const char* name) {
  const char* const scratch = std::getenv("TEST_TMPDIR");
  return std::filesystem::path(scratch == nullptr ? "/tmp" : scratch) / name;
}

TEST(MpiLibraryTest, IsExpectedBesideTheProgram) {
  EXPECT_EQ(MpiLibraryPath().filename(), "libdray_mpi.so");
  EXPECT_TRUE(std::filesystem::exists(MpiLibraryPath().parent_path() / "mpi_library_test"));
}

TEST(MpiLibraryTest, AMissingLibraryIsNamedWithWhatToInstall) {
  const auto path = InScratch("nothing/libdray_mpi.so");
  const Status status = MpiLibrary::Open(path).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "there is no " + path.string() +
                                  ": this dray was built without MPI; install libopenmpi-dev and "
                                  "build it again, or copy the file from such a build");
}

TEST(MpiLibraryTest, ALibraryThatCannotBeOpenedIsNamedWithWhatToInstall) {
  const auto path = InScratch("libdray_mpi.so");
  std::ofstream(path) << "no library";
  const Status status = MpiLibrary::Open(path).status();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_NE(status.message().find("cannot open " + path.string()), std::string::npos);
  EXPECT_NE(status.message().find("apt-get install openmpi-bin"), std::string::npos);
}

TEST(MpiLibraryTest, AnotherLibraryIsRefused) {
  // The C library is surely there, and is not dray's.
  Dl_info library{};
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&std::getenv), &library), 0);
  const Status status = MpiLibrary::Open(library.dli_fname).status();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_NE(status.message().find("install both from one build"), std::string::npos);
}

}  // namespace
}  // namespace dray::parallel
