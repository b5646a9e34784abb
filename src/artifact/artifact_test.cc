// Writing, mapping and verifying an artifact, with every file of it damaged, removed and exchanged.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "artifact/artifact_writer.h"
#include "artifact/mapped_artifact.h"
#include "base/machine/cpu_info.h"
#include "base/testing/scarce_threads.h"
#include "base/threads/helper_threads.h"
#include "base/threads/worker_set.h"

namespace dray::artifact {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

// About two and a half chunks.
constexpr int64_t kSizes[] = {100, 6'000'000, 64, 4'000'000};

Bytes Content(int64_t size, unsigned seed) {
  Bytes bytes(static_cast<size_t>(size));
  for (std::byte& byte : bytes)
    byte = static_cast<std::byte>((seed = seed * 1664525 + 1013904223) >> 24);
  return bytes;
}

class ArtifactTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    parent_ = fs::path(::testing::TempDir()) / ("dray_artifact_" + name);
    fs::remove_all(parent_);
    folder_ = parent_ / "new" / "model";
  }
  void TearDown() override { fs::remove_all(parent_); }

  Status Append(ArtifactWriter& writer, unsigned idx) {
    const Bytes content = Content(kSizes[idx], idx);
    ArtifactTensor tensor;
    tensor.name = "tensor" + std::to_string(idx);
    tensor.matrix = kernels::MatrixSpec::Of(1, 1, kernels::WeightFormat::kI8);
    tensor.size_bytes = kSizes[idx];
    return writer.Append(tensor, [&](int64_t offset, std::span<std::byte> out) {
      std::copy_n(content.begin() + offset, out.size(), out.begin());
      return OkStatus();
    });
  }

  Status Write(const fs::path& folder) {
    DRAY_ASSIGN_OR_RETURN(ArtifactWriter writer, ArtifactWriter::Create(folder));
    for (unsigned i = 0; i < std::size(kSizes); ++i) DRAY_RETURN_IF_ERROR(Append(writer, i));
    DRAY_RETURN_IF_ERROR(writer.AddFile("config.json", "{\"a\": 1}"));
    DRAY_RETURN_IF_ERROR(writer.AddFile("vocab.txt", "words"));
    Manifest manifest;
    manifest.layout = "x";
    manifest.model = Json::MakeObject();
    return writer.Finish(std::move(manifest)).status();
  }

  // What opening and verifying it says.
  static Status Check(const fs::path& folder, const VerifyOptions& options = {}) {
    DRAY_ASSIGN_OR_RETURN(const auto artifact, MappedArtifact::Open(folder));
    return artifact->Verify(options);
  }

  void ExpectRefused(const fs::path& file, const std::string& what) {
    const Status status = Check(folder_);
    EXPECT_FALSE(status.ok()) << what;
    EXPECT_NE(status.message().find(file.string()), std::string::npos)
        << what << ": " << status.message();
  }

  // What is in the parent folder, hidden names too.
  std::set<std::string> Entries() const {
    std::set<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_.parent_path(), error)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

  fs::path parent_, folder_;
};

void FlipByte(const fs::path& file, int64_t offset) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(offset);
  const int byte = stream.get();
  stream.seekp(offset);
  stream.put(static_cast<char>(byte ^ 0x10));
}

TEST_F(ArtifactTest, WhatIsWrittenIsMapped) {
  ASSERT_TRUE(Write(folder_).ok());
  EXPECT_EQ(Entries(), std::set<std::string>{"model"});
  EXPECT_TRUE(Check(folder_).ok()) << Check(folder_).message();
  EXPECT_TRUE(Check(folder_, {.cpus = AllowedCpus()}).ok());
  const auto artifact = MappedArtifact::Open(folder_).value();
  for (unsigned i = 0; i < std::size(kSizes); ++i) {
    const ArtifactTensor* tensor = artifact->Find("tensor" + std::to_string(i));
    ASSERT_NE(tensor, nullptr);
    const auto bytes = artifact->Bytes(*tensor);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % kTensorAlignment, 0U);
    const Bytes expected = Content(kSizes[i], i);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()));
  }
  EXPECT_EQ(artifact->Find("tensor9"), nullptr);
  EXPECT_TRUE(artifact->CheckIntact().ok());
  struct stat state {};
  ASSERT_EQ(::stat(folder_.c_str(), &state), 0);
  EXPECT_NE(state.st_mode & S_IXGRP, 0U) << "other users may serve it";
}

TEST_F(ArtifactTest, EveryFlippedByteIsFoundAndItsFileNamed) {
  ASSERT_TRUE(Write(folder_).ok());
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const auto size = static_cast<int64_t>(fs::file_size(entry.path()));
    const int64_t step = std::max<int64_t>(1, size / 50);
    for (int64_t offset = 0; offset < size; offset += step) {
      FlipByte(entry.path(), offset);
      ExpectRefused(entry.path(), std::to_string(offset));
      FlipByte(entry.path(), offset);
    }
    FlipByte(entry.path(), size - 1);
    ExpectRefused(entry.path(), "the last byte");
    FlipByte(entry.path(), size - 1);
  }
  EXPECT_TRUE(Check(folder_).ok());
}

TEST_F(ArtifactTest, PartsOfTheVerificationCoverEveryByte) {
  ASSERT_TRUE(Write(folder_).ok());
  const auto size = static_cast<int64_t>(fs::file_size(folder_ / kDataName));
  for (int64_t offset = 0; offset < size; offset += size / 20) {
    FlipByte(folder_ / kDataName, offset);
    const auto artifact = MappedArtifact::Open(folder_).value();
    for (const int64_t parts : {1, 2, 5}) {
      int refused = 0;
      for (int64_t part = 0; part < parts; ++part) {
        refused += artifact->Verify({.part = part, .parts = parts}).ok() ? 0 : 1;
      }
      EXPECT_EQ(refused, 1) << offset << " in " << parts << " parts";
    }
    FlipByte(folder_ / kDataName, offset);
  }
}

// [thread]: the processors of every other thread of this process.
std::vector<std::string> CpusOfOtherThreads() {
  std::vector<std::string> cpus;
  std::error_code ended;
  for (const auto& task : fs::directory_iterator("/proc/self/task", ended)) {
    if (task.path().filename() == std::to_string(::gettid())) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("Cpus_allowed_list")) cpus.push_back(line);
    }
  }
  return cpus;
}

// The threads of a rank are bound to its processors, but all processors verify.
TEST_F(ArtifactTest, ThreadsOfTheVerificationAreNotBoundAsItsCallerIs) {
  ASSERT_TRUE(Write(folder_).ok());
  const std::vector<int> all = AllowedCpus();
  const std::string expected = [] {
    std::string line;
    std::ifstream status("/proc/thread-self/status");
    while (std::getline(status, line) && !line.starts_with("Cpus_allowed_list")) {
    }
    return line;
  }();
  HelperThreads caller;
  const auto verify = [&] {
    BindThread(::pthread_self(), {all.front()});
    // A thread that has no chunk left may have ended before the caller looks.
    size_t seen = 0;
    for (int i = 0; i < 1000 && seen == 0; ++i) {
      const auto look = [&](uint64_t, uint64_t) {
        std::vector<std::string> others = CpusOfOtherThreads();
        seen += others.size() - 1;
        for (const std::string& cpus : others) EXPECT_EQ(cpus, expected);
      };
      EXPECT_TRUE(Check(folder_, {.cpus = all, .progress = look}).ok());
    }
    EXPECT_GT(seen, 0U);
  };
  ASSERT_TRUE(caller.Start("to verify", verify).ok());
  caller.Join();
}

TEST_F(ArtifactTest, AVerificationWithoutThreadsIsRefused) {
  ASSERT_TRUE(Write(folder_).ok());
  for (const int threads : {0, 1}) {
    const auto artifact = MappedArtifact::Open(folder_).value();
    Status status;
    {
      const ScarceThreads scarce(threads);
      status = artifact->Verify({.cpus = AllowedCpus()});
    }
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
    EXPECT_NE(status.message().find((folder_ / kDataName).string()), std::string::npos)
        << status.message();
    EXPECT_NE(status.message().find("cannot start thread"), std::string::npos) << status.message();
    EXPECT_TRUE(artifact->Verify({.cpus = AllowedCpus()}).ok()) << "once there are threads again";
  }
}

TEST_F(ArtifactTest, ProgressEndsWithAllBytes) {
  ASSERT_TRUE(Write(folder_).ok());
  const uint64_t size = fs::file_size(folder_ / kDataName);
  uint64_t last = 0;
  const auto note = [&](uint64_t done, uint64_t total) {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, size);
    last = done;
  };
  EXPECT_TRUE(Check(folder_, {.cpus = AllowedCpus(), .progress = note}).ok());
  EXPECT_EQ(last, size);
}

TEST_F(ArtifactTest, RemovedShortenedAndLongerFilesAreRefused) {
  ASSERT_TRUE(Write(folder_).ok());
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder_)) files.push_back(entry.path());
  ASSERT_EQ(files.size(), 4U);
  for (const fs::path& file : files) {
    const fs::path away = parent_ / "away";
    fs::rename(file, away);
    ExpectRefused(file, "removed");
    fs::copy_file(away, file);
    fs::resize_file(file, fs::file_size(file) - 1);
    ExpectRefused(file, "shortened");
    fs::remove(file);
    fs::copy_file(away, file);
    std::ofstream(file, std::ios::app) << "x";
    ExpectRefused(file, "longer");
    fs::remove(file);
    fs::create_directory(file);
    ExpectRefused(file, "a folder");
    fs::remove(file);
    fs::rename(away, file);
    ASSERT_TRUE(Check(folder_).ok());
  }
}

TEST_F(ArtifactTest, ExchangedFilesAreRefused) {
  ASSERT_TRUE(Write(folder_).ok());
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder_)) files.push_back(entry.path());
  const fs::path away = parent_ / "away";
  const auto swap = [&](const fs::path& a, const fs::path& b) {
    fs::rename(a, away);
    fs::rename(b, a);
    fs::rename(away, b);
  };
  for (size_t i = 0; i < files.size(); ++i) {
    for (size_t j = i + 1; j < files.size(); ++j) {
      swap(files[i], files[j]);
      const Status status = Check(folder_);
      EXPECT_FALSE(status.ok()) << files[i] << " and " << files[j];
      const bool named = status.message().find(files[i].string()) != std::string::npos ||
                         status.message().find(files[j].string()) != std::string::npos;
      EXPECT_TRUE(named) << status.message();
      swap(files[i], files[j]);
    }
  }
}

// The same file of another artifact, with sizes that are the same.
TEST_F(ArtifactTest, AFileOfAnotherArtifactIsRefused) {
  ASSERT_TRUE(Write(folder_).ok());
  ASSERT_TRUE(Write(parent_ / "other").ok());
  FlipByte(parent_ / "other" / kDataName, 5'000'000);
  fs::copy_file(parent_ / "other" / kDataName, folder_ / kDataName,
                fs::copy_options::overwrite_existing);
  ExpectRefused(folder_ / kDataName, "the other's data");
}

TEST_F(ArtifactTest, ChangesWhileItIsMappedAreFound) {
  const auto change = [&](const std::string& what, const auto& apply) {
    fs::remove_all(parent_);
    ASSERT_TRUE(Write(folder_).ok());
    const auto artifact = MappedArtifact::Open(folder_).value();
    ASSERT_TRUE(artifact->Verify({}).ok());
    // The kernel's file times advance in steps of up to 10 ms.
    ::usleep(20'000);
    apply(folder_ / kDataName);
    // Reads the last byte, which may be lost.
    const auto bytes = artifact->Bytes(*artifact->Find("tensor3"));
    static_cast<void>(*reinterpret_cast<const volatile char*>(&bytes.back()));
    const Status status = artifact->CheckIntact();
    EXPECT_EQ(status.code(), StatusCode::kCorrupt) << what;
    EXPECT_NE(status.message().find(kDataName), std::string::npos) << status.message();
  };
  change("cut short", [](const fs::path& file) { fs::resize_file(file, 4096); });
  change("emptied", [](const fs::path& file) { fs::resize_file(file, 0); });
  change("written to", [](const fs::path& file) { FlipByte(file, 77); });
}

// A new version that takes the name of the old one does not disturb what is served.
TEST_F(ArtifactTest, ANewFileOfTheSameNameIsNoChange) {
  ASSERT_TRUE(Write(folder_).ok());
  const auto artifact = MappedArtifact::Open(folder_).value();
  fs::rename(folder_, parent_ / "old");
  ASSERT_TRUE(Write(folder_).ok());
  EXPECT_TRUE(artifact->CheckIntact().ok());
  fs::remove_all(parent_);
  EXPECT_TRUE(artifact->CheckIntact().ok());
}

TEST_F(ArtifactTest, AFolderInUseIsNotOverwritten) {
  fs::create_directories(folder_);
  ASSERT_TRUE(Write(folder_).ok()) << "an empty folder is free";
  const auto again = ArtifactWriter::Create(folder_);
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.status().message().find(folder_.string()), std::string::npos);
  EXPECT_TRUE(Check(folder_).ok());
}

TEST_F(ArtifactTest, WhatIsNotFinishedLeavesNothing) {
  {
    auto writer = ArtifactWriter::Create(folder_).value();
    ASSERT_TRUE(Append(writer, 1).ok());
    EXPECT_EQ(Entries().size(), 1U);
    EXPECT_FALSE(Entries().contains("model"));
  }
  EXPECT_TRUE(Entries().empty());
}

// As on a full disk: a write comes back short, then fails.
TEST_F(ArtifactTest, AFullDiskLeavesNothing) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t most : {rlim_t{1000}, rlim_t{5'000'000}, rlim_t{10'000'000}}) {
    const rlimit limit = {most, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    const Status status = Write(folder_);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.message();
    EXPECT_NE(status.message().find(kDataName), std::string::npos) << status.message();
    EXPECT_TRUE(Entries().empty()) << most;
  }
  EXPECT_TRUE(Write(folder_).ok()) << "once there is room";
}

}  // namespace
}  // namespace dray::artifact
