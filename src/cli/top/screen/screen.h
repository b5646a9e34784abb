// Draws what `dray top` shows: a head with the server's numbers, a line for each model, and all numbers of the model
// that is chosen.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/top/screen/figures.h"
#include "cli/top/screen/styled_line.h"
#include "cli/top/server_view.h"

namespace dray::cli {

struct ScreenOptions {
  size_t columns = 80;
  size_t rows = 24;
  Colors colors = Colors::kNone;
  Glyphs glyphs = Glyphs::kAscii;
  std::string url;
  // The time of day, and how the screen is being kept up to date.
  std::string clock;
  std::string refresh;
  // Why the newest numbers are missing; "": they are not.
  std::string trouble;
  // Which of the models is shown in full; the last one if there are fewer.
  size_t chosen_model = 0;
};

// At most `rows` lines of at most `columns` columns. The last line, which names the keys, is always at the bottom.
std::vector<std::string> DrawScreen(const ServerView& view, const ScreenOptions& options);
// The same before there are any numbers.
std::vector<std::string> DrawWaitingScreen(const ScreenOptions& options);

}  // namespace dray::cli
