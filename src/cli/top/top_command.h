// `dray top`: what a server does at this moment.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "cli/flags/flags.h"
#include "cli/flags/https_options.h"

namespace dray::cli {

struct TopOptions {
  // http://HOST:PORT, https://HOST:PORT, or HOST:PORT.
  std::string url = "http://127.0.0.1:8080";
  double interval_seconds = 1;
  bool once = false;
  // A file whose first line is a key; "": the environment's DRAY_API_KEY, if there is one.
  std::string api_key_file;
  // Header lines.
  std::vector<std::string> headers;
  HttpsOptions https;
};

void AddTopOptions(Command command, TopOptions& options);

// Shows the server on the terminal until the user quits, or writes one report to `out`. Returns the exit code: 1 if an
// option is wrong, if there is no terminal, or if the one report got no answer.
int RunTop(const TopOptions& options, std::ostream& out, std::ostream& err);

}  // namespace dray::cli
