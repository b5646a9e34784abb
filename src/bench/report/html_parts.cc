#include "bench/report/html_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace dray::bench {
namespace {

// Lengths in the drawing's own units; the page scales the drawing.
constexpr double kWidth = 640;
constexpr double kHeight = 300;
constexpr double kLeft = 56;
constexpr double kRight = 16;
constexpr double kTop = 12;
constexpr double kBottom = 44;
constexpr size_t kNumColors = 6;

// Returns 1, 2 or 5 times a power of ten, such that at most `count` steps reach `most`.
double NiceStep(double most, int count) {
  const double rough = std::max(most, 1e-9) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

struct Scale {
  double step = 1;
  double most = 1;
  explicit Scale(double largest) : step(NiceStep(largest, 5)) {
    most = step * std::max(1.0, std::ceil(largest / step));
  }
};

struct Axes {
  Scale x;
  Scale y;
  double X(double value) const { return kLeft + value / x.most * (kWidth - kLeft - kRight); }
  double Y(double value) const {
    return kHeight - kBottom - value / y.most * (kHeight - kTop - kBottom);
  }
};

Axes AxesOf(const LineChart& chart) {
  double x = 0;
  double y = 0;
  for (const Series& series : chart.series) {
    for (const auto& [at, value] : series.points) {
      x = std::max(x, at);
      y = std::max(y, value);
    }
  }
  return {Scale(x), Scale(y)};
}

std::string Grid(const LineChart& chart, const Axes& axes) {
  std::string out;
  for (double y = 0; y <= axes.y.most * 1.001; y += axes.y.step) {
    out += fmt::format(
        "<line class=\"axis\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{:.6g}</text>\n",
        kLeft, kWidth - kRight, axes.Y(y), axes.Y(y), kLeft - 6, axes.Y(y) + 4, y);
  }
  for (double x = 0; x <= axes.x.most * 1.001; x += axes.x.step) {
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:.6g}</text>\n",
                       axes.X(x), kHeight - kBottom + 18, x);
  }
  out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                     (kLeft + kWidth - kRight) / 2, kHeight - 8, EscapeHtml(chart.x_title));
  return out;
}

std::string Line(const Series& series, const Axes& axes, size_t color) {
  std::string path;
  std::string dots;
  for (const auto& [x, y] : series.points) {
    path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", axes.X(x), axes.Y(y));
    dots += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"var(--s{})\"><title>{}: {:.4g}"
        "</title></circle>",
        axes.X(x), axes.Y(y), color, EscapeHtml(series.label), y);
  }
  return fmt::format(
      "<polyline points=\"{}\" fill=\"none\" stroke=\"var(--s{})\" stroke-width=\"2\"/>{}\n", path,
      color, dots);
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string ChartSection(const LineChart& chart) {
  const Axes axes = AxesOf(chart);
  std::string out =
      fmt::format("<h2>{}</h2>\n<section><div class=\"legend\">", EscapeHtml(chart.title));
  for (size_t i = 0; i < chart.series.size(); ++i) {
    out += fmt::format("<span><i style=\"background:var(--s{})\"></i>{}</span>", i % kNumColors,
                       EscapeHtml(chart.series[i].label));
  }
  out += fmt::format(
      "</div><svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}"
      "\">\n",
      kWidth, kHeight, EscapeHtml(chart.title));
  out += Grid(chart, axes);
  for (size_t i = 0; i < chart.series.size(); ++i) {
    out += Line(chart.series[i], axes, i % kNumColors);
  }
  return out + "</svg></section>\n";
}

}  // namespace dray::bench
