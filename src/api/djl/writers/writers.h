// The writers that MakeDjlWriter chooses from.
#pragma once

#include <memory>

#include "api/djl/writers/djl_writer.h"

namespace dray::api {

// {"generated_text": ...}, or lines of {"token": {...}}: the schema since 0.24 and its stream since
// 0.27.
std::unique_ptr<ReplyWriter> MakeTokenWriter(const DjlWriterOptions& options);
// Lists of answers, or lines of {"outputs": ["piece", ...]}: what handlers up to 0.26 wrote.
std::unique_ptr<ReplyWriter> MakePieceWriter(const DjlWriterOptions& options);
// The asynchronous handlers since 0.33, whose lines have TGI's names.
std::unique_ptr<ReplyWriter> MakeAsyncWriter(const DjlWriterOptions& options);
// The formats "3p" and "3p_stream".
std::unique_ptr<ReplyWriter> MakeThirdPartyWriter(const DjlWriterOptions& options);
// The format "none".
std::unique_ptr<ReplyWriter> MakePlainTextWriter(const DjlWriterOptions& options);
// What a request with "Accept: text/csv" gets.
std::unique_ptr<ReplyWriter> MakeCsvWriter(const DjlWriterOptions& options);

}  // namespace dray::api
