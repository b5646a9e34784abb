// Answers as DJLServing's text-generation handler writes them.
#pragma once

#include <memory>

#include "api/reply.h"
#include "http/response.h"
#include "settings/output_format.h"

namespace dray::api {

// A stream's `format` is kJsonLines or kServerSentEvents.
std::unique_ptr<ReplyWriter> MakeDjlWriter(settings::OutputFormat format);

}  // namespace dray::api
