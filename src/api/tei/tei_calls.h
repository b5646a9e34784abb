// The requests and answers of Text Embeddings Inference.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/encoder/encoder_engine.h"
#include "serving/encoder/encode_call.h"

namespace dray::api {

struct TeiCall {
  serving::EncodeCall encode;
  bool is_one = false;             // whether `inputs` was no list, so that the answer is none
  bool normalize = true;           // of /embed: vectors of length one
  bool raw_scores = false;         // of /predict and /rerank: without softmax or sigmoid
  std::vector<std::string> texts;  // of /rerank with return_text
};

// kInvalidArgument says what is wrong.
Result<TeiCall> ReadEmbed(std::string_view text);
Result<TeiCall> ReadPredict(std::string_view text);
Result<TeiCall> ReadRerank(std::string_view text);

std::string WriteEmbed(const TeiCall& call, const serving::EncodeAnswer& answer);
std::string WritePredict(const TeiCall& call, const serving::EncodeAnswer& answer,
                         const engine::ClassifierConfig& classifier);
// The texts by their score for the query, the best first.
std::string WriteRerank(const TeiCall& call, const serving::EncodeAnswer& answer);

}  // namespace dray::api
