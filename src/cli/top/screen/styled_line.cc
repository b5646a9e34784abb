#include "cli/top/screen/styled_line.h"

namespace dray::cli {
namespace {

// Parameters of the terminal's "select graphic rendition" sequence.
std::string_view CodeOf(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "1";
    case Style::kDim:
      return "2";
    case Style::kGood:
      return "32";
    case Style::kWarning:
      return "33";
    case Style::kBad:
      return "1;31";
    case Style::kTitle:
      return "7";
  }
  return "";
}

bool ContinuesCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

}  // namespace

StyledLine& StyledLine::Add(std::string_view text, Style style) {
  size_t end = 0;
  while (end < text.size()) {
    const bool begins = !ContinuesCharacter(text[end]);
    if (begins && width_ == columns_) break;
    if (begins) ++width_;
    ++end;
  }
  if (end == 0) return *this;
  const std::string_view code = colors_ == Colors::kAnsi ? CodeOf(style) : "";
  if (!code.empty()) text_.append("\x1b[").append(code).append("m");
  text_.append(text.substr(0, end));
  if (!code.empty()) text_.append("\x1b[0m");
  return *this;
}

StyledLine& StyledLine::PadTo(size_t column, Style style) {
  return column > width_ ? Add(std::string(column - width_, ' '), style) : *this;
}

}  // namespace dray::cli
