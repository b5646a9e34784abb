// A line of a stream has a place for each input. The inputs' tokens come independently of each other,
// so a line waits until every input that goes on has its piece.
#include <deque>
#include <utility>
#include <vector>

#include "api/djl/djl_parameters.h"
#include "api/djl/errors/djl_errors.h"
#include "api/djl/writers/handler_writer.h"
#include "api/djl/writers/writers.h"

namespace dray::api {
namespace {

using settings::AnswerShape;

class PieceWriter final : public HandlerWriter {
 public:
  using HandlerWriter::HandlerWriter;

  http::Response Whole(const GenerateCall& call, std::span<const InputResult> results) override {
    Json answer = Json::MakeArray();
    for (const InputResult& result : results) {
      Json of_input = Json::MakeArray();
      for (int64_t i = 0; i < call.num_returned; ++i) {
        const SequenceResult& sequence = result.sequences.at(static_cast<size_t>(i));
        std::string text = AnswerText(result, sequence, call);
        if (call.shape == InputShape::kTexts) {
          answer.Append(std::move(text));
        } else {
          (IsNested(call) ? of_input : answer)
              .Append(Json::MakeObject({{"generated_text", std::move(text)}}));
        }
      }
      if (IsNested(call)) answer.Append(std::move(of_input));
    }
    if (call.shape == InputShape::kTexts) {
      answer = Json::MakeObject({{"outputs", std::move(answer)}});
    }
    return MakeResponse(answer.Dump(2));
  }

  // A handler's error: 424, or a line in an answer that has begun with 200 already.
  std::optional<http::Response> RequestFailure(const serving::Reason& reason) override {
    const Status status = serving::ToStatus(reason, SpellOf(options().shape));
    if (options().shape == AnswerShape::kPieces) {
      return MakeResponse(FrameLine(ErrorLine(status.message())));
    }
    http::Response response = MakeResponse(
        Json::MakeObject(
            {{"code", 424}, {"message", "prediction failure"}, {"error", status.message()}})
            .Dump(2));
    response.head.status = 424;
    response.head.persistence = http::Persistence::kClose;
    return response;
  }

  std::string StreamTokens(const GenerateCall&, const StreamedTokens& tokens) override {
    waiting_.resize(tokens.num_inputs);
    Waiting& input = waiting_.at(tokens.input_idx);
    for (const serving::TextToken& token : tokens.event.tokens) input.pieces.push_back(token.text);
    input.ended = tokens.event.finish.has_value();
    std::string lines;
    while (IsLineReady()) lines += FrameLine(NextLine());
    return lines;
  }

  std::optional<std::string> StreamFailure(const GenerateCall&, const serving::Reason& reason,
                                           const InputResult&) override {
    return FrameLine(ErrorLine(MakeDjlError(reason).message));
  }

  bool ShowsTokens(const GenerateCall&) const override { return false; }

 private:
  // The pieces of an input that are in no line yet.
  struct Waiting {
    std::deque<std::string> pieces;
    bool ended = false;
  };

  static sampling::SpellParam SpellOf(AnswerShape shape) {
    return settings::IsOfTransformers(shape) ? SpellTransformersParameter : SpellDjlParameter;
  }
  // transformers' pipeline gives a list for each entry of a list of inputs.
  bool IsNested(const GenerateCall& call) const {
    return options().shape == AnswerShape::kPipeline && call.shape == InputShape::kList;
  }
  static std::string ErrorLine(std::string_view message) {
    return Json::MakeObject({{"code", 500}, {"error", message}}).Dump();
  }

  bool IsLineReady() const {
    bool any = false;
    for (const Waiting& input : waiting_) {
      if (input.pieces.empty() && !input.ended) return false;
      any = any || !input.pieces.empty();
    }
    return any;
  }
  // An input that has ended has an empty piece.
  std::string NextLine() {
    Json pieces = Json::MakeArray();
    for (Waiting& input : waiting_) {
      if (input.pieces.empty()) {
        pieces.Append("");
        continue;
      }
      pieces.Append(std::move(input.pieces.front()));
      input.pieces.pop_front();
    }
    return Json::MakeObject({{"outputs", std::move(pieces)}}).Dump();
  }

  std::vector<Waiting> waiting_;  // [inputs]
};

}  // namespace

std::unique_ptr<ReplyWriter> MakePieceWriter(const DjlWriterOptions& options) {
  return std::make_unique<PieceWriter>(options);
}

}  // namespace dray::api
