// Decompresses a request's body, piece by piece as it comes.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "base/status.h"

// zlib's state.
struct z_stream_s;

namespace dray::http {

class BodyDecoder {
 public:
  // `coding` is the value of Content-Encoding. kUnsupported if it is neither gzip nor deflate (which is zlib's
  // format). Throws std::bad_alloc.
  static Result<std::unique_ptr<BodyDecoder>> Make(std::string_view coding);
  BodyDecoder(const BodyDecoder&) = delete;
  BodyDecoder& operator=(const BodyDecoder&) = delete;
  ~BodyDecoder();

  struct Progress {
    size_t used_bytes = 0;
    size_t made_bytes = 0;
  };
  // Decodes as much of `input` as fits into `out`, which is not empty. If it fills `out`, there may be more to
  // come of the same input, even if all of that was used. kInvalidArgument if the input is damaged.
  Result<Progress> Decode(std::string_view input, std::span<char> out);
  // The end of the compressed data has come.
  bool complete() const { return complete_; }

 private:
  enum class Format { kGzip, kZlib };
  explicit BodyDecoder(Format format);

  const Format format_;
  std::unique_ptr<z_stream_s> stream_;
  bool complete_ = false;
};

}  // namespace dray::http
