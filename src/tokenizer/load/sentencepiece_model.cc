#include "tokenizer/load/sentencepiece_model.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "tokenizer/json_node.h"
#include "tokenizer/load/proto_reader.h"
#include "tokenizer/models/vocab.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

using Kind = ProtoField::Kind;

// Field numbers of sentencepiece_model.proto.
constexpr uint32_t kPieces = 1;
constexpr uint32_t kTrainerSpec = 2;
constexpr uint32_t kNormalizerSpec = 3;
constexpr uint32_t kPieceText = 1;
constexpr uint32_t kPieceScore = 2;
constexpr uint32_t kPieceType = 3;
constexpr uint32_t kModelType = 3;
constexpr uint32_t kUnkId = 40;
constexpr uint32_t kCharsmap = 2;

constexpr uint64_t kUnigram = 1;
constexpr std::string_view kModelTypes[] = {"0", "UNIGRAM", "BPE", "WORD", "CHAR"};

// What the messages beside the pieces say; protobuf's defaults where they say nothing.
struct Specs {
  uint64_t model_type = kUnigram;
  int64_t unk_id = 0;
};

Status CheckPiece(const SentencePiece& piece, const std::string& name) {
  if (piece.text.empty()) return {StatusCode::kCorrupt, name + ": has no text"};
  if (!IsValidUtf8(piece.text)) return {StatusCode::kCorrupt, name + ": its text is not UTF-8"};
  if (!std::isfinite(piece.score)) {
    return {StatusCode::kCorrupt,
            fmt::format("{}: the score of {} is {}, which is no finite number", name,
                        QuoteText(piece.text), piece.score)};
  }
  return OkStatus();
}

Result<SentencePiece> ReadPiece(std::string_view bytes, size_t place) {
  const std::string name = fmt::format("piece {}", place);
  ProtoReader reader(bytes, name);
  SentencePiece piece;
  for (;;) {
    DRAY_ASSIGN_OR_RETURN(const auto field, reader.Next());
    if (!field) break;
    if (field->Is(kPieceText, Kind::kBytes)) piece.text = field->bytes;
    if (field->Is(kPieceScore, Kind::kFixed32)) piece.score = field->AsFloat();
    if (!field->Is(kPieceType, Kind::kVarint)) continue;
    if (field->value < 1 || field->value > 6) {
      return Status(StatusCode::kCorrupt,
                    fmt::format("{}: the type is {}, not one of 1 to 6", name, field->value));
    }
    piece.type = static_cast<SentencePiece::Type>(field->value);
  }
  DRAY_RETURN_IF_ERROR(CheckPiece(piece, name));
  return piece;
}

Status ReadTrainerSpec(std::string_view bytes, Specs& specs) {
  ProtoReader reader(bytes, "trainer_spec");
  for (;;) {
    DRAY_ASSIGN_OR_RETURN(const auto field, reader.Next());
    if (!field) return OkStatus();
    if (field->Is(kModelType, Kind::kVarint)) specs.model_type = field->value;
    // Negative numbers are written as 64 bits, so that the lower 32 are the number.
    if (field->Is(kUnkId, Kind::kVarint)) specs.unk_id = static_cast<int32_t>(field->value);
  }
}

Status ReadNormalizerSpec(std::string_view bytes, std::string_view& charsmap) {
  ProtoReader reader(bytes, "normalizer_spec");
  for (;;) {
    DRAY_ASSIGN_OR_RETURN(const auto field, reader.Next());
    if (!field) return OkStatus();
    if (field->Is(kCharsmap, Kind::kBytes)) charsmap = field->bytes;
  }
}

Status CheckModel(const SentencePieceModel& model, const Specs& specs) {
  if (model.pieces.empty()) return {StatusCode::kCorrupt, "has no pieces"};
  if (specs.model_type != kUnigram) {
    const bool known = specs.model_type < std::size(kModelTypes);
    return {StatusCode::kUnsupported,
            fmt::format(
                "trainer_spec.model_type is {}, but dray reads UNIGRAM only; save the tokenizer "
                "once with transformers' save_pretrained to get a tokenizer.json",
                known ? std::string(kModelTypes[specs.model_type])
                      : fmt::format("{}", specs.model_type))};
  }
  if (specs.unk_id < 0 || static_cast<uint64_t>(specs.unk_id) >= model.pieces.size()) {
    return {StatusCode::kCorrupt, fmt::format("trainer_spec.unk_id is {}, but there are {} pieces",
                                              specs.unk_id, model.pieces.size())};
  }
  return OkStatus();
}

// As the sentencepiece library has it: the piece whose type says so, whatever trainer_spec.unk_id is.
int32_t UnknownId(const SentencePieceModel& model, const Specs& specs) {
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type == SentencePiece::Type::kUnknown) return static_cast<int32_t>(id);
  }
  return static_cast<int32_t>(specs.unk_id);
}

}  // namespace

Result<SentencePieceModel> ParseSentencePieceModel(std::string_view bytes) {
  SentencePieceModel model;
  Specs specs;
  ProtoReader reader(bytes, "SentencePiece model");
  for (;;) {
    DRAY_ASSIGN_OR_RETURN(const auto field, reader.Next());
    if (!field) break;
    if (field->kind != Kind::kBytes) continue;
    if (field->number == kPieces) {
      if (model.pieces.size() == kMaxVocabTokens) {
        return Status(StatusCode::kResourceExhausted,
                      fmt::format("has more than {} pieces", size_t{kMaxVocabTokens}));
      }
      DRAY_ASSIGN_OR_RETURN(const SentencePiece piece,
                            ReadPiece(field->bytes, model.pieces.size()));
      model.pieces.push_back(piece);
    } else if (field->number == kTrainerSpec) {
      DRAY_RETURN_IF_ERROR(ReadTrainerSpec(field->bytes, specs));
    } else if (field->number == kNormalizerSpec) {
      DRAY_RETURN_IF_ERROR(ReadNormalizerSpec(field->bytes, model.charsmap));
    }
  }
  DRAY_RETURN_IF_ERROR(CheckModel(model, specs));
  model.unk_id = UnknownId(model, specs);
  return model;
}

}  // namespace dray::tokenizer
