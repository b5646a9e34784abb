#include "api/encoder/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>

namespace dray::api {

void AppendNumbers(std::span<const float> numbers, std::string& out) {
  out += '[';
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0) out += ',';
    if (std::isfinite(numbers[i])) {
      fmt::format_to(std::back_inserter(out), "{}", numbers[i]);
    } else {
      out += "null";
    }
  }
  out += ']';
}

void AppendRows(std::span<const float> numbers, int64_t cols, std::string& out) {
  const auto width = static_cast<size_t>(cols);
  out += '[';
  for (size_t at = 0; at < numbers.size(); at += width) {
    if (at > 0) out += ',';
    AppendNumbers(numbers.subspan(at, width), out);
  }
  out += ']';
}

std::string ToBase64(std::span<const float> numbers) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto* bytes = reinterpret_cast<const uint8_t*>(numbers.data());
  const size_t size = numbers.size_bytes();
  std::string out;
  out.reserve((size + 2) / 3 * 4);
  for (size_t i = 0; i < size; i += 3) {
    const size_t count = std::min<size_t>(3, size - i);
    uint32_t group = 0;
    for (size_t b = 0; b < 3; ++b) group = group << 8 | (b < count ? bytes[i + b] : 0u);
    for (size_t digit = 0; digit < 4; ++digit) {
      out += digit <= count ? kDigits[group >> (18 - 6 * digit) & 63] : '=';
    }
  }
  return out;
}

std::vector<float> ToScores(std::span<const float> outputs, engine::ClassScores scores) {
  std::vector<float> result(outputs.begin(), outputs.end());
  if (scores == engine::ClassScores::kSigmoid) {
    for (float& x : result) x = static_cast<float>(1.0 / (1.0 + std::exp(-double{x})));
  }
  if (scores != engine::ClassScores::kSoftmax || result.empty()) return result;
  const double max = *std::max_element(outputs.begin(), outputs.end());
  double sum = 0;
  for (const float x : outputs) sum += std::exp(double{x} - max);
  for (float& x : result) x = static_cast<float>(std::exp(double{x} - max) / sum);
  return result;
}

std::vector<LabelScore> SortedByScore(std::span<const float> scores) {
  std::vector<LabelScore> sorted;
  for (size_t i = 0; i < scores.size(); ++i) sorted.push_back({i, scores[i]});
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const LabelScore& a, const LabelScore& b) { return a.score > b.score; });
  return sorted;
}

http::Response JsonAnswer(std::string body) {
  http::Response response;
  response.head.headers.Add("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

}  // namespace dray::api
