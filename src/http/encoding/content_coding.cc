#include "http/encoding/content_coding.h"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

#include "http/grammar.h"

namespace dray::http {
namespace {

// What fits into one packet anyway.
constexpr size_t kLeastBytes = 1024;
constexpr size_t kMostBytes = size_t{4} << 20;

// The weight in "gzip;q=0.5", in thousandths; 1000 without one, 0 if it is no weight.
int WeightOf(std::string_view parameters) {
  parameters = Trim(parameters);
  if (parameters.empty()) return 1000;
  if (!parameters.starts_with("q=") && !parameters.starts_with("Q=")) return 0;
  const std::string_view digits = parameters.substr(2);
  if (digits.empty() || digits.size() > 5 || (digits[0] != '0' && digits[0] != '1')) return 0;
  if (digits.size() > 1 && digits[1] != '.') return 0;
  int weight = (digits[0] - '0') * 1000;
  int place = 100;
  for (const char c : digits.substr(std::min<size_t>(2, digits.size()))) {
    if (c < '0' || c > '9') return 0;
    weight += (c - '0') * place;
    place /= 10;
  }
  return std::min(weight, 1000);
}

struct Weights {
  std::optional<int> gzip;
  std::optional<int> deflate;
  std::optional<int> any;
};

void ReadWeights(std::string_view list, Weights& out) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    const std::string_view entry = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    const size_t semicolon = std::min(entry.find(';'), entry.size());
    const std::string_view name = Trim(entry.substr(0, semicolon));
    const int weight = WeightOf(entry.substr(std::min(semicolon + 1, entry.size())));
    if (EqualsIgnoreCase(name, "gzip") || EqualsIgnoreCase(name, "x-gzip")) out.gzip = weight;
    if (EqualsIgnoreCase(name, "deflate")) out.deflate = weight;
    if (name == "*") out.any = weight;
  }
}

bool IsText(std::string_view type) {
  return type.starts_with("text/") || type.starts_with("application/json");
}

// Nothing if the result would not be smaller.
std::optional<std::string> Compress(std::string_view body, ContentCoding coding) {
  constexpr int kWindowBits = 15;
  constexpr int kGzipBits = 16;
  constexpr int kMemoryLevel = 8;
  z_stream stream = {};
  const int bits = kWindowBits + (coding == ContentCoding::kGzip ? kGzipBits : 0);
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, bits, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    throw std::bad_alloc();
  }
  const std::unique_ptr<z_stream, decltype(&deflateEnd)> end(&stream, deflateEnd);
  std::string out(body.size(), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) return std::nullopt;
  out.resize(out.size() - stream.avail_out);
  return out;
}

}  // namespace

ContentCoding ChooseCoding(const Headers& headers) {
  Weights weights;
  for (const auto& [name, value] : headers.fields()) {
    if (EqualsIgnoreCase(name, "Accept-Encoding")) ReadWeights(value, weights);
  }
  const int gzip = weights.gzip.value_or(weights.any.value_or(0));
  const int deflate = weights.deflate.value_or(weights.any.value_or(0));
  if (gzip == 0 && deflate == 0) return ContentCoding::kIdentity;
  return gzip >= deflate ? ContentCoding::kGzip : ContentCoding::kDeflate;
}

void CompressBody(Response& response, ContentCoding coding) {
  Headers& headers = response.head.headers;
  const std::string* const type = headers.Find("Content-Type");
  if (coding == ContentCoding::kIdentity || type == nullptr || !IsText(*type)) return;
  if (response.body.size() < kLeastBytes || response.body.size() > kMostBytes) return;
  if (headers.Find("Content-Encoding") != nullptr) return;
  auto compressed = Compress(response.body, coding);
  if (!compressed) return;
  response.body = *std::move(compressed);
  headers.Add("Content-Encoding", coding == ContentCoding::kGzip ? "gzip" : "deflate");
  headers.Add("Vary", "Accept-Encoding");
}

}  // namespace dray::http
