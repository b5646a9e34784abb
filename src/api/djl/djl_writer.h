// Answers as DJLServing's text-generation handler writes them.
#pragma once

#include <memory>

#include "api/reply.h"
#include "http/response.h"
#include "settings/output_format.h"

namespace dray::api {

// `headers` are sent with every answer. A stream's `format` is kJsonLines or kServerSentEvents.
std::unique_ptr<ReplyWriter> MakeDjlWriter(settings::OutputFormat format, http::Headers headers);

}  // namespace dray::api
