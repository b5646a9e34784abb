// The numbers of an encoder's answers as text, and the scores of classes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parse/json.h"
#include "engine/encoder/encoder_engine.h"
#include "http/response.h"

namespace dray::api {

// Appends "[0.5,-1,...]": the shortest text that reads as the same float. A number that is not finite
// becomes null, as JSON has none.
void AppendNumbers(std::span<const float> numbers, std::string& out);
// Appends [[...],...]: rows of `cols` numbers.
void AppendRows(std::span<const float> numbers, int64_t cols, std::string& out);
// The numbers as little-endian f32 in base64.
std::string ToBase64(std::span<const float> numbers);

// What a classifier's outputs become with `scores`.
std::vector<float> ToScores(std::span<const float> outputs, engine::ClassScores scores);

struct LabelScore {
  size_t label_idx = 0;
  float score = 0;
};
// Sorted by score, the highest first; of equal scores the first label goes first.
std::vector<LabelScore> SortedByScore(std::span<const float> scores);

// 200, with JSON.
http::Response JsonAnswer(std::string body);

}  // namespace dray::api
