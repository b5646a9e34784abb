#include "http/encoding/body_decoder.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

#include "http/request.h"

namespace dray::http {
namespace {

// 2^15 bytes, the largest window that the formats allow; 16 more ask zlib for gzip's header.
constexpr int kWindowBits = 15;
constexpr int kGzipBits = 16;

}  // namespace

Result<std::unique_ptr<BodyDecoder>> BodyDecoder::Make(std::string_view coding) {
  const bool is_gzip = EqualsIgnoreCase(coding, "gzip") || EqualsIgnoreCase(coding, "x-gzip");
  if (!is_gzip && !EqualsIgnoreCase(coding, "deflate")) {
    return Status(StatusCode::kUnsupported,
                  fmt::format("Content-Encoding \"{}\" is not accepted; send gzip, deflate or the "
                              "body as it is",
                              coding.substr(0, 100)));
  }
  return std::unique_ptr<BodyDecoder>(new BodyDecoder(is_gzip ? Format::kGzip : Format::kZlib));
}

BodyDecoder::BodyDecoder(Format format) : format_(format), stream_(std::make_unique<z_stream_s>()) {
  *stream_ = {};
  const int bits = kWindowBits + (format == Format::kGzip ? kGzipBits : 0);
  if (inflateInit2(stream_.get(), bits) != Z_OK) throw std::bad_alloc();
}

BodyDecoder::~BodyDecoder() { inflateEnd(stream_.get()); }

Result<BodyDecoder::Progress> BodyDecoder::Decode(std::string_view input, std::span<char> out) {
  constexpr size_t kMostBytes = std::numeric_limits<uInt>::max();
  const size_t room = std::min(out.size(), kMostBytes);
  const size_t given = std::min(input.size(), kMostBytes);
  // A file of gzip may consist of several, one after another.
  if (complete_ && given > 0) {
    if (format_ == Format::kZlib || inflateReset(stream_.get()) != Z_OK) {
      return Status(StatusCode::kInvalidArgument, "the compressed body goes on after its end");
    }
    complete_ = false;
  }
  stream_->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
  stream_->avail_in = static_cast<uInt>(given);
  stream_->next_out = reinterpret_cast<Bytef*>(out.data());
  stream_->avail_out = static_cast<uInt>(room);
  const int result = inflate(stream_.get(), Z_NO_FLUSH);
  if (result == Z_MEM_ERROR) throw std::bad_alloc();
  // No progress is no error: more input is to come.
  if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
    return Status(StatusCode::kInvalidArgument,
                  "the body is not compressed as its Content-Encoding says");
  }
  complete_ = result == Z_STREAM_END;
  return Progress{.used_bytes = given - stream_->avail_in, .made_bytes = room - stream_->avail_out};
}

}  // namespace dray::http
