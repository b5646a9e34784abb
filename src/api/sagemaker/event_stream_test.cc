// The frames were checked with botocore's decoder.
#include "api/sagemaker/event_stream.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace dray::api {
namespace {

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

TEST(EventStreamTest, APartHasItsBytes) {
  EXPECT_EQ(Hex(EncodeParts("hello")),
            "0000006e000000595197ff15"
            "0d3a6d6573736167652d747970650700056576656e74"
            "0b3a6576656e742d7479706507000b5061796c6f616450617274"
            "0d3a636f6e74656e742d747970650700186170706c69636174696f6e2f6f637465742d73747265616d"
            "68656c6c6f"
            "36028f02");
  EXPECT_EQ(EncodeParts(""), "");
}

TEST(EventStreamTest, AnExceptionHasItsBytes) {
  EXPECT_EQ(
      Hex(EncodeException("ModelStreamError", R"({"Message":"m","ErrorCode":"StreamBroken"})")),
      "000000980000005e0887cf4b"
      "0d3a6d6573736167652d74797065070009657863657074696f6e"
      "0f3a657863657074696f6e2d747970650700104d6f64656c53747265616d4572726f72"
      "0d3a636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e"
      "7b224d657373616765223a226d222c224572726f72436f6465223a2253747265616d42726f6b656e227d"
      "08326baf");
}

TEST(EventStreamTest, ALongAnswerHasSeveralFrames) {
  constexpr size_t kFrameBytes = 105;  // what a frame has besides its payload
  const std::string data(kMaxPartBytes + 3, 'x');
  const std::string frames = EncodeParts(data);
  EXPECT_EQ(frames.size(), data.size() + 2 * kFrameBytes);
  EXPECT_EQ(frames.substr(kFrameBytes + kMaxPartBytes), EncodeParts("xxx"));
}

}  // namespace
}  // namespace dray::api
