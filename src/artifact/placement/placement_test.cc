// Copies and streams of an artifact's bytes, at the addresses at which the file was mapped.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "artifact/artifact_writer.h"
#include "artifact/mapped_artifact.h"
#include "artifact/placement/background_copy.h"
#include "artifact/placement/copy_ranges.h"
#include "artifact/placement/data_memory.h"
#include "artifact/placement/unit_stream.h"
#include "base/machine/huge_pages.h"

namespace dray::artifact {
namespace {

namespace fs = std::filesystem;

constexpr auto kPage = static_cast<int64_t>(kPageBytes);
// Several huge pages, and a part of a page.
constexpr int64_t kSize = 21'000'100;
constexpr int64_t kUnit = 700 * kPage;

std::byte ByteAt(int64_t offset) {
  return static_cast<std::byte>((static_cast<uint64_t>(offset) * 2654435761U) >> 24);
}

class PlacementTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "placement_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    parent_ = pattern;
    ASSERT_TRUE(Write().ok());
    artifact_ = MappedArtifact::Open(parent_ / "model").value();
  }
  void TearDown() override { fs::remove_all(parent_); }

  Status Write() {
    DRAY_ASSIGN_OR_RETURN(ArtifactWriter writer, ArtifactWriter::Create(parent_ / "model"));
    ArtifactTensor tensor;
    tensor.name = "tensor";
    tensor.matrix = kernels::MatrixSpec::Of(1, 1, kernels::WeightFormat::kI8);
    tensor.size_bytes = kSize;
    DRAY_RETURN_IF_ERROR(writer.Append(tensor, [](int64_t offset, std::span<std::byte> out) {
      for (std::byte& byte : out) byte = ByteAt(offset++);
      return OkStatus();
    }));
    Manifest manifest;
    manifest.layout = "x";
    manifest.model = Json::MakeObject();
    return writer.Finish(std::move(manifest)).status();
  }

  std::shared_ptr<const DataMemory> Memory(ReadThrough through) const {
    return std::make_shared<const DataMemory>(DataMemory::Open(artifact_, through).value());
  }

  // The first byte of the range that is not the one that was written; none: its end.
  int64_t FirstWrong(ByteRange range) const {
    for (int64_t offset = range.begin; offset < range.end; ++offset) {
      if (artifact_->data()[static_cast<size_t>(offset)] != ByteAt(offset)) return offset;
    }
    return range.end;
  }

  fs::path parent_;
  std::shared_ptr<const MappedArtifact> artifact_;
};

TEST_F(PlacementTest, CopiesHaveTheSameBytesAtTheSamePlace) {
  for (const ReadThrough through : {ReadThrough::kCache, ReadThrough::kDevice}) {
    const auto memory = Memory(through);
    EXPECT_TRUE(memory->Copy({3 * kPage, 1000 * kPage}).ok());
    EXPECT_TRUE(CopyRanges(*memory, {{0, kPage}, {2 * kPage, kSize}}, {.num_threads = 3}).ok());
    EXPECT_EQ(FirstWrong({0, kSize}), kSize);
    EXPECT_TRUE(artifact_->Verify({}).ok());
  }
}

TEST_F(PlacementTest, CopiesAreThereWhenTheFileIsNot) {
  EXPECT_TRUE(Memory(ReadThrough::kCache)->Copy({0, kSize}).ok());
  fs::resize_file(artifact_->DataPath(), 0);
  EXPECT_EQ(FirstWrong({0, kSize}), kSize);
  EXPECT_EQ(artifact_->CheckIntact().code(), StatusCode::kCorrupt) << "but it is said";
}

TEST_F(PlacementTest, OthersReadWhileItIsCopied) {
  std::atomic<bool> ends = false;
  std::thread reader([&] {
    while (!ends) EXPECT_EQ(FirstWrong({0, kSize}), kSize);
  });
  const auto memory = Memory(ReadThrough::kCache);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(CopyRanges(*memory, {{0, kSize}}, {}).ok());
  ends = true;
  reader.join();
}

TEST_F(PlacementTest, ACopyEndsWhenItIsStopped) {
  std::stop_source stop;
  int64_t bytes = 0;
  const Status status = CopyRanges(*Memory(ReadThrough::kCache), {{0, kSize}},
                                   {.stop = stop.get_token(), .after_piece = [&](int64_t piece) {
                                      bytes += piece;
                                      stop.request_stop();
                                      return OkStatus();
                                    }});
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  EXPECT_LT(bytes, kSize);
  EXPECT_EQ(FirstWrong({0, kSize}), kSize);
}

TEST_F(PlacementTest, ReservedMemoryIsFilledAndEmptied) {
  const auto memory = Memory(ReadThrough::kDevice);
  const ByteRange range = {5 * kPage, 1030 * kPage};
  ASSERT_TRUE(memory->Reserve(range).ok());
  EXPECT_EQ(artifact_->data()[static_cast<size_t>(range.begin) + 1], std::byte{0});
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(memory->Fill(range).ok());
    EXPECT_EQ(FirstWrong({0, kSize}), kSize);
    memory->Empty(range);
    EXPECT_EQ(artifact_->data()[static_cast<size_t>(range.begin) + 1], std::byte{0});
  }
}

TEST_F(PlacementTest, ABackgroundCopyCopiesAll) {
  auto copy = BackgroundCopy::Start(artifact_, {}).value();
  EXPECT_EQ(FirstWrong({0, kSize}), kSize);
  copy->Wait();
  EXPECT_EQ(copy->copied_bytes(), kSize);
  EXPECT_EQ(FirstWrong({0, kSize}), kSize);
  EXPECT_LE(HugePageShare(*artifact_), 1.0);
}

TEST_F(PlacementTest, ABackgroundCopyEndsWhereMemoryIsShort) {
  auto copy = BackgroundCopy::Start(artifact_, {.leave_free_bytes = INT64_MAX}).value();
  copy->Wait();
  EXPECT_LT(copy->copied_bytes(), kSize);
  EXPECT_EQ(FirstWrong({0, kSize}), kSize);
}

TEST_F(PlacementTest, NothingIsCopiedIfHugePagesAreThere) {
  auto copy = BackgroundCopy::Start(artifact_, {.huge_share_that_does = 0}).value();
  copy->Wait();
  EXPECT_EQ(copy->copied_bytes(), 0);
}

TEST_F(PlacementTest, ABackgroundCopyWaitsBeforeItBegins) {
  auto copy = BackgroundCopy::Start(artifact_, {.delay = std::chrono::hours(1)}).value();
  EXPECT_EQ(copy->copied_bytes(), 0);
  copy.reset();  // does not wait for it
  copy = BackgroundCopy::Start(artifact_, {.delay = std::chrono::milliseconds(1)}).value();
  copy->Wait();
  EXPECT_EQ(copy->copied_bytes(), kSize);
}

TEST_F(PlacementTest, ABackgroundCopyEndsWithItsObject) {
  for (int i = 0; i < 20; ++i) BackgroundCopy::Start(artifact_, {}).value().reset();
  EXPECT_EQ(FirstWrong({0, kSize}), kSize);
}

class UnitStreamTest : public PlacementTest {
 protected:
  // Seven units of two ranges each, with pages between them.
  static UnitStream::Units MakeUnits() {
    UnitStream::Units units;
    for (int64_t i = 0; i < 7; ++i) {
      const int64_t begin = kPage * (1 + 701 * i);
      units.push_back({{begin, begin + kUnit / 2}, {begin + kUnit / 2 + kPage, begin + kUnit}});
    }
    return units;
  }
  static int64_t SizeOf(const UnitStream::Units& units) {
    int64_t size = 0;
    for (const auto& unit : units) {
      for (const ByteRange& range : unit) size += range.size();
    }
    return size;
  }

  std::unique_ptr<UnitStream> Start(size_t num_users) const {
    return UnitStream::Start(Memory(ReadThrough::kDevice), units_, num_users).value();
  }

  void ExpectUnit(size_t unit) const {
    for (const ByteRange& range : units_[unit]) EXPECT_EQ(FirstWrong(range), range.end) << unit;
  }

  const UnitStream::Units units_ = MakeUnits();
};

TEST_F(UnitStreamTest, EveryUnitIsThereWhenItIsUsed) {
  const auto stream = Start(1);
  constexpr int64_t kRounds = 3;
  for (int64_t use = 0; use < kRounds * 7; ++use) {
    ASSERT_TRUE(stream->Begin(0, use % 7).ok());
    ExpectUnit(static_cast<size_t>(use % 7));
    stream->End(0);
  }
  // Nothing is read twice, and at most what may be in memory is read ahead.
  EXPECT_GE(stream->bytes_read(), kRounds * SizeOf(units_));
  EXPECT_LE(stream->bytes_read(), kRounds * SizeOf(units_) + UnitStream::kUnitsInMemory * kUnit);
}

TEST_F(UnitStreamTest, OnlyTwoUnitsAreInMemory) {
  const auto stream = Start(1);
  for (int64_t unit = 0; unit < 6; ++unit) {
    ASSERT_TRUE(stream->Begin(0, unit).ok());
    if (unit < 2) {
      stream->End(0);
      continue;
    }
    // The memory of a unit is given back before the next but one is read.
    const auto first = static_cast<size_t>(units_[static_cast<size_t>(unit - 2)][0].begin);
    EXPECT_EQ(artifact_->data()[first], std::byte{0});
    stream->End(0);
  }
}

TEST_F(UnitStreamTest, AUnitStaysUntilTheSlowestUserHasDoneWithIt) {
  const auto stream = Start(2);
  std::thread fast([&] {
    for (int64_t use = 0; use < 14; ++use) {
      EXPECT_TRUE(stream->Begin(1, use % 7).ok());
      ExpectUnit(static_cast<size_t>(use % 7));
      stream->End(1);
    }
  });
  for (int64_t use = 0; use < 14; ++use) {
    EXPECT_TRUE(stream->Begin(0, use % 7).ok());
    std::this_thread::yield();
    ExpectUnit(static_cast<size_t>(use % 7));
    stream->End(0);
  }
  fast.join();
}

// A step that failed in the middle is followed by one that begins with the first unit.
TEST_F(UnitStreamTest, UnitsThatWereLeftOutAreNoHindrance) {
  const auto stream = Start(1);
  for (const int64_t unit : {0, 1, 2, 0, 1, 2, 3, 2, 6, 0}) {
    ASSERT_TRUE(stream->Begin(0, unit).ok());
    ExpectUnit(static_cast<size_t>(unit));
    if (unit != 3) stream->End(0);
  }
}

TEST_F(UnitStreamTest, AShorterFileIsAnErrorUntilItIsWhole) {
  const auto stream = Start(1);
  ASSERT_TRUE(stream->Begin(0, 0).ok());
  while (stream->bytes_read() < 2 * (kUnit - kPage)) std::this_thread::yield();
  fs::resize_file(artifact_->DataPath(), 10 * kPageBytes);
  stream->End(0);
  ASSERT_TRUE(stream->Begin(0, 1).ok()) << "was read before";
  stream->End(0);
  for (int i = 0; i < 2; ++i) {
    const Status status = stream->Begin(0, 2);
    EXPECT_EQ(status.code(), StatusCode::kCorrupt);
    EXPECT_NE(status.message().find("weights.dray"), std::string::npos) << status.message();
  }
  fs::resize_file(artifact_->DataPath(), kSize);
  EXPECT_TRUE(stream->Begin(0, 2).ok());
}

TEST_F(UnitStreamTest, ItEndsWhileItReads) {
  for (int i = 0; i < 20; ++i) Start(1);
}

}  // namespace
}  // namespace dray::artifact
