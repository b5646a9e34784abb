// One line of a terminal: texts with colors, side by side, that never take more columns than there are.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace dray::cli {

enum class Style { kPlain, kBold, kDim, kGood, kWarning, kBad, kTitle };
enum class Colors { kNone, kAnsi };

class StyledLine {
 public:
  StyledLine(size_t columns, Colors colors) : columns_(columns), colors_(colors) {}

  // Appends `text`, of which each code point takes one column; what does not fit is left out.
  StyledLine& Add(std::string_view text, Style style = Style::kPlain);
  // Appends spaces up to the column `column`.
  StyledLine& PadTo(size_t column, Style style = Style::kPlain);
  // Columns that are taken.
  size_t width() const { return width_; }
  std::string Take() { return std::move(text_); }

 private:
  const size_t columns_;
  const Colors colors_;
  size_t width_ = 0;
  std::string text_;
};

}  // namespace dray::cli
