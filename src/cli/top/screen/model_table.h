// The table of `dray top`: one line for each model.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/top/screen/screen.h"
#include "cli/top/server_view.h"

namespace dray::cli {

// How a model's state shows: good while it serves, a warning while it is being loaded, else bad.
Style StyleOfState(const std::string& state);

// The heading and `rows` lines of models, among which the chosen one always is; wide terminals get more columns. The
// last line says how many models are left out, if any are.
std::vector<std::string> DrawModelTable(const ServerView& view, const ScreenOptions& options,
                                        size_t rows);

}  // namespace dray::cli
