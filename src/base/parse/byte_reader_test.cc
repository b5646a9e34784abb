#include "base/parse/byte_reader.h"

#include <gtest/gtest.h>

#include <array>

namespace dray {
namespace {

TEST(ByteReaderTest, ReadsInOrderAndStopsAtTheEnd) {
  const std::array<unsigned char, 7> raw = {1, 2, 0, 0, 0, 'a', 'b'};
  ByteReader reader(std::as_bytes(std::span(raw)), "sample");
  EXPECT_EQ(*reader.Read<uint8_t>(), 1);
  EXPECT_EQ(*reader.Read<uint32_t>(), 2u);
  EXPECT_EQ(*reader.ReadText(2), "ab");
  const auto past = reader.Read<uint16_t>();
  ASSERT_FALSE(past.ok());
  EXPECT_EQ(past.status().message(), "sample: 2 bytes wanted at offset 7, but only 0 are left");
  EXPECT_FALSE(reader.Seek(8).ok());
  EXPECT_FALSE(reader.ReadBytes(static_cast<size_t>(-1)).ok());
}

}  // namespace
}  // namespace dray
