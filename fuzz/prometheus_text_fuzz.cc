// Pages of metrics: any bytes are read or refused. What was read stays the same when it is written and read again.
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/parse/prometheus_text.h"

namespace {

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    c == '\n' ? out += "\\n" : out += c;
  }
  return out;
}

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

std::string Written(const dray::MetricLine& line) {
  std::string out = line.name + "{";
  for (const auto& [name, text] : line.labels) out += name + "=\"" + Escaped(text) + "\",";
  return out + "} " + Number(line.value) + "\n";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto lines = dray::ParsePrometheusText(text);
  if (!lines.ok()) {
    DRAY_CHECK(!lines.status().message().empty());
    return 0;
  }
  std::string written;
  for (const dray::MetricLine& line : *lines) written += Written(line);
  const auto again = dray::ParsePrometheusText(written);
  DRAY_CHECK(again.ok() && again->size() == lines->size());
  for (size_t i = 0; i < lines->size(); ++i) {
    DRAY_CHECK(Written(again->at(i)) == Written(lines->at(i)));
  }
  return 0;
}
