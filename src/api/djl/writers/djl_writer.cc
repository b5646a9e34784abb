#include "api/djl/writers/djl_writer.h"

#include "api/djl/writers/writers.h"

namespace dray::api {

using settings::AnswerShape;
using settings::OutputFormat;

std::unique_ptr<ReplyWriter> MakeDjlWriter(const DjlWriterOptions& options) {
  switch (options.format) {
    case OutputFormat::kThirdParty:
    case OutputFormat::kThirdPartyLines:
      return MakeThirdPartyWriter(options);
    case OutputFormat::kPlainText:
      return MakePlainTextWriter(options);
    case OutputFormat::kCsv:
      return MakeCsvWriter(options);
    case OutputFormat::kByRequest:
    case OutputFormat::kJson:
    case OutputFormat::kJsonLines:
    case OutputFormat::kServerSentEvents:
      break;
  }
  switch (options.shape) {
    case AnswerShape::kPipeline:
    case AnswerShape::kList:
    case AnswerShape::kPieces:
      return MakePieceWriter(options);
    case AnswerShape::kText:
      // Its whole answers are today's.
      return options.format == OutputFormat::kJson ? MakeTokenWriter(options)
                                                   : MakePieceWriter(options);
    case AnswerShape::kAsync:
      return MakeAsyncWriter(options);
    case AnswerShape::kTokens:
      break;
  }
  return MakeTokenWriter(options);
}

bool StreamsSeveralInputs(AnswerShape shape, OutputFormat format) {
  const bool has_pieces = settings::IsOfTransformers(shape) || shape == AnswerShape::kPieces ||
                          shape == AnswerShape::kText;
  return has_pieces && format != OutputFormat::kThirdPartyLines &&
         format != OutputFormat::kPlainText;
}

}  // namespace dray::api
