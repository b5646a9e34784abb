// What all writers of this folder share: content types, frames of lines, and failures.
#pragma once

#include <string>
#include <string_view>

#include "api/djl/writers/djl_writer.h"
#include "base/parse/json.h"

namespace dray::api {

class HandlerWriter : public ReplyWriter {
 public:
  explicit HandlerWriter(const DjlWriterOptions& options) : options_(options) {}

  // As DJLServing's front answers.
  http::Response Failure(const serving::Reason& reason) override;
  http::ResponseHead StreamHead() override;

 protected:
  const DjlWriterOptions& options() const { return options_; }
  // 200 with the format's content type.
  http::Response MakeResponse(std::string body) const;
  // A line of a stream: with a line feed, or as a server-sent event.
  std::string FrameLine(const std::string& line) const;

 private:
  const DjlWriterOptions options_;
};

// Whether a handler would have found the reason in the request. The front finds the others: models
// that are missing or not ready, full queues, ends of the server, and time-outs.
bool IsOfRequest(const serving::Reason& reason);

// An input's answer, behind the input if the call asks for it.
std::string AnswerText(const InputResult& result, const SequenceResult& sequence,
                       const GenerateCall& call);
// Why a sequence ended, in the words of the current schema, which are also TGI's; "error" if it has
// not ended.
std::string_view FinishName(const SequenceResult& sequence);

}  // namespace dray::api
