// Archives byte by byte; malformed_test.cc has the long list of refusals.
#include "checkpoint/torch/zip_reader.h"

#include <gtest/gtest.h>

#include "checkpoint/testing/malformed_builders.h"

namespace dray::checkpoint {
namespace {

std::string_view Text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(ZipReaderTest, EntriesAreUsedInPlace) {
  const std::string content = SoundTorchZip().Bytes();
  const auto bytes = std::as_bytes(std::span(content));
  const auto archive = ZipArchive::Read(bytes, "a.bin");
  ASSERT_TRUE(archive.ok()) << archive.status().message();
  ASSERT_EQ(archive->entries().size(), 4u);
  EXPECT_EQ(archive->entries()[0].name, "m/data.pkl");
  const ZipEntry* version = archive->Find("m/version");
  ASSERT_NE(version, nullptr);
  EXPECT_EQ(Text(version->data), "3\n");
  EXPECT_EQ(version->crc32, 0x55679ED1u);
  EXPECT_EQ(static_cast<size_t>(version->data.data() - bytes.data()), content.find("3\nPK"));
  EXPECT_EQ(archive->Find("m/versio"), nullptr);
  EXPECT_EQ(archive->Find(""), nullptr);
}

TEST(ZipReaderTest, EntriesWithoutBytesHaveNoDescriptor) {
  ZipSpec spec = SoundTorchZip();
  spec.Entry("data/0").data.clear();
  const std::string content = spec.Bytes();
  const auto archive = ZipArchive::Read(std::as_bytes(std::span(content)), "a.bin");
  ASSERT_TRUE(archive.ok()) << archive.status().message();
  EXPECT_TRUE(archive->Find("m/data/0")->data.empty());
}

TEST(ZipReaderTest, DescriptorsMayBeWide) {
  ZipSpec spec = SoundTorchZip();
  ZipEntrySpec& version = spec.Entry("version");
  version.descriptor = LittleEndian(0x08074B50, 4) + LittleEndian(0x55679ED1, 4) +
                       LittleEndian(2, 8) + LittleEndian(2, 8);
  const std::string content = spec.Bytes();
  const auto archive = ZipArchive::Read(std::as_bytes(std::span(content)), "a.bin");
  ASSERT_TRUE(archive.ok()) << archive.status().message();
}

TEST(ZipReaderTest, WideFieldsReplaceSaturatedOnes) {
  ZipSpec spec = SoundTorchZip();
  ZipEntrySpec& first = spec.Entry("data.pkl");
  first.central.size = first.central.compressed = 0xFFFFFFFF;
  first.central.offset = 0xFFFFFFFF;
  first.central.extra = LittleEndian(1, 2) + LittleEndian(24, 2) +
                        LittleEndian(first.data.size(), 8) + LittleEndian(first.data.size(), 8) +
                        LittleEndian(0, 8);
  const std::string content = spec.Bytes();
  const auto archive = ZipArchive::Read(std::as_bytes(std::span(content)), "a.bin");
  ASSERT_TRUE(archive.ok()) << archive.status().message();
  EXPECT_EQ(Text(archive->Find("m/data.pkl")->data), StateDictPickle({}));
}

TEST(ZipReaderTest, RefusalsNameTheEntry) {
  ZipSpec spec = SoundTorchZip();
  spec.Entry("data/0").method = 8;
  const std::string content = spec.Bytes();
  const auto archive = ZipArchive::Read(std::as_bytes(std::span(content)), "a.bin");
  ASSERT_FALSE(archive.ok());
  EXPECT_EQ(archive.status().message().find("a.bin: ZIP: entry \"m/data/0\": compression method 8"),
            0u);
}

}  // namespace
}  // namespace dray::checkpoint
