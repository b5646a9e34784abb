// Answers as DJLServing's text-generation handlers of different times write them.
#pragma once

#include <memory>

#include "api/djl/errors/error_policy.h"
#include "api/reply.h"
#include "http/response.h"
#include "settings/answers/answer_shape.h"
#include "settings/answers/output_format.h"

namespace dray::api {

struct DjlWriterOptions {
  settings::AnswerShape shape = settings::AnswerShape::kTokens;
  // Not kByRequest.
  settings::OutputFormat format = settings::OutputFormat::kJson;
  // TGI's names and its list around an answer; with AnswerShape::kTokens only.
  bool tgi_compat = false;
  // Not null. A writer may outlive the server's routes.
  std::shared_ptr<ErrorPolicy> errors;
};

std::unique_ptr<ReplyWriter> MakeDjlWriter(const DjlWriterOptions& options);

// Whether the lines of such a stream have a place for each of several inputs. `format` is not kByRequest.
bool StreamsSeveralInputs(settings::AnswerShape shape, settings::OutputFormat format);

}  // namespace dray::api
