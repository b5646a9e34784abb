// What all writers of this folder share: content types, frames of lines, and failures.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/djl/writers/djl_writer.h"
#include "base/parse/json.h"

namespace dray::api {

class HandlerWriter : public ReplyWriter {
 public:
  explicit HandlerWriter(DjlWriterOptions options) : options_(std::move(options)) {}

  http::Response Failure(const serving::Reason& reason) final;
  http::ResponseHead StreamHead() override;

 protected:
  // How the handler answers a request in which it finds an error itself; nothing: DJLServing's front answers.
  virtual std::optional<http::Response> RequestFailure(const serving::Reason& reason);

  const DjlWriterOptions& options() const { return options_; }
  // 200 with the format's content type.
  http::Response MakeResponse(std::string body) const;
  // A line of a stream: with a line feed, or as a server-sent event.
  std::string FrameLine(const std::string& line) const;

 private:
  const DjlWriterOptions options_;
};

// An input's answer, behind the input if the call asks for it.
std::string AnswerText(const InputResult& result, const SequenceResult& sequence,
                       const GenerateCall& call);
// Why a sequence ended, in the words of the current schema, which are also TGI's; "error" if it has
// not ended.
std::string_view FinishName(const SequenceResult& sequence);

}  // namespace dray::api
