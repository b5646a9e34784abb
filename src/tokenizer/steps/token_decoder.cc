#include "tokenizer/steps/token_decoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "tokenizer/steps/decoder_stages.h"
#include "tokenizer/text/utf8.h"

namespace dray::tokenizer {
namespace {

constexpr size_t kMaxSteps = 32;
// How many times longer its Replace steps may make a text, all together.
constexpr size_t kMaxGrowth = 4096;
// A stream holds this many characters back; published decoders strip none at the end.
constexpr int64_t kMaxStop = 1024;

constexpr std::string_view kKnown =
    "BPEDecoder, ByteFallback, ByteLevel, CTC, Fuse, Metaspace, Replace, Sequence, Strip, "
    "WordPiece";

Result<DecoderStepPtr> LoadReplace(const JsonNode& node, size_t& growth) {
  DRAY_ASSIGN_OR_RETURN(const JsonNode pattern_node, node.Get("pattern"));
  DRAY_ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::Load(pattern_node));
  DRAY_ASSIGN_OR_RETURN(std::string content, node.GetString("content"));
  // An expression may match the empty text at every character.
  const size_t replaced = pattern.literal() ? pattern.literal()->size() : 1;
  growth *= content.size() / replaced + (pattern.literal() ? 1 : 2);
  if (growth > kMaxGrowth) {
    return node.Error(
        StatusCode::kResourceExhausted,
        fmt::format("the decoder may make a text more than {} times longer", kMaxGrowth));
  }
  return NewReplaceDecoder(std::move(pattern), std::move(content));
}

Result<DecoderStepPtr> LoadStrip(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const char32_t content, node.GetChar("content"));
  DRAY_ASSIGN_OR_RETURN(const int64_t start, node.GetCount("start", INT32_MAX));
  DRAY_ASSIGN_OR_RETURN(const int64_t stop, node.GetCount("stop", kMaxStop));
  return NewStripDecoder(content, static_cast<size_t>(start), static_cast<size_t>(stop));
}

Result<DecoderStepPtr> LoadMetaspace(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(const char32_t replacement, node.GetChar("replacement"));
  DRAY_ASSIGN_OR_RETURN(const bool add_prefix_space, node.GetBool("add_prefix_space", true));
  DRAY_ASSIGN_OR_RETURN(const std::string scheme,
                        node.GetString("prepend_scheme", add_prefix_space ? "always" : "never"));
  if (scheme != "first" && scheme != "always" && scheme != "never") {
    return node.Unknown(scheme, "first, always, never");
  }
  return NewMetaspaceDecoder(replacement,
                             scheme == "never" ? FirstSpace::kKeep : FirstSpace::kDrop);
}

Result<DecoderStepPtr> LoadWordPiece(const JsonNode& node) {
  DRAY_ASSIGN_OR_RETURN(std::string prefix, node.GetString("prefix"));
  DRAY_ASSIGN_OR_RETURN(const bool cleanup, node.GetBool("cleanup"));
  return NewWordPieceDecoder(std::move(prefix), cleanup ? Cleanup::kYes : Cleanup::kNo);
}

Result<DecoderStepPtr> LoadCtc(const JsonNode& node) {
  CtcOptions options;
  DRAY_ASSIGN_OR_RETURN(options.pad_token, node.GetString("pad_token"));
  DRAY_ASSIGN_OR_RETURN(options.word_delimiter_token, node.GetString("word_delimiter_token"));
  DRAY_ASSIGN_OR_RETURN(const bool cleanup, node.GetBool("cleanup"));
  options.cleanup = cleanup ? Cleanup::kYes : Cleanup::kNo;
  return NewCtcDecoder(std::move(options));
}

Result<DecoderStepPtr> LoadStep(const JsonNode& node, const std::string& name, size_t& growth) {
  if (name == "ByteLevel") return NewByteLevelDecoder();
  if (name == "ByteFallback") return NewByteFallbackDecoder();
  if (name == "Fuse") return NewFuseDecoder();
  if (name == "Strip") return LoadStrip(node);
  if (name == "Replace") return LoadReplace(node, growth);
  if (name == "Metaspace") return LoadMetaspace(node);
  if (name == "WordPiece") return LoadWordPiece(node);
  if (name == "CTC") return LoadCtc(node);
  if (name == "BPEDecoder") {
    DRAY_ASSIGN_OR_RETURN(std::string suffix, node.GetString("suffix"));
    return NewBpeDecoder(std::move(suffix));
  }
  return JsonNode(node.value(), node.path() + ".type").Unknown(name, kKnown);
}

Status LoadSteps(const JsonNode& node, std::vector<DecoderStepPtr>& steps, size_t& growth) {
  DRAY_ASSIGN_OR_RETURN(const std::string name, node.GetString("type"));
  if (name == "Sequence") {
    DRAY_ASSIGN_OR_RETURN(const JsonNode list, node.Get("decoders"));
    DRAY_ASSIGN_OR_RETURN(const auto elements, list.Elements());
    for (const JsonNode& element : elements) {
      DRAY_RETURN_IF_ERROR(LoadSteps(element, steps, growth));
    }
    return OkStatus();
  }
  if (steps.size() == kMaxSteps) {
    return node.Error(StatusCode::kResourceExhausted,
                      fmt::format("more than {} decoders", kMaxSteps));
  }
  DRAY_ASSIGN_OR_RETURN(DecoderStepPtr step, LoadStep(node, name, growth));
  steps.push_back(std::move(step));
  return OkStatus();
}

}  // namespace

TokenDecoder::TokenDecoder() { steps_.push_back(NewJoinDecoder()); }

Result<TokenDecoder> TokenDecoder::Load(const JsonNode& node) {
  TokenDecoder decoder;
  decoder.steps_.clear();
  size_t growth = 1;
  DRAY_RETURN_IF_ERROR(LoadSteps(node, decoder.steps_, growth));
  return decoder;
}

std::vector<std::unique_ptr<TokenSink>> TokenDecoder::NewStages(TokenSink& out, Flow flow) const {
  std::vector<std::unique_ptr<TokenSink>> stages;
  stages.reserve(steps_.size());
  TokenSink* next = &out;
  bool next_takes_cut_tokens = true;  // `out` joins all that it gets
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    const Flow possible = next_takes_cut_tokens ? flow : Flow::kWholeTokens;
    stages.push_back((*step)->NewStage(*next, possible));
    next = stages.back().get();
    next_takes_cut_tokens = (*step)->takes_cut_tokens();
  }
  return stages;
}

}  // namespace dray::tokenizer
