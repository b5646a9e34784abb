// The flags of commands that ask a server, perhaps by https: whom to trust.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "cli/flags/flags.h"
#include "http/client/client_tls.h"
#include "http/client/url.h"

namespace dray::cli {

struct HttpsOptions {
  std::string authorities_file;  // "": the system's
  bool insecure = false;
};

// Adds --ca and --insecure, in the group `group` of the help text ("": the command's own).
void AddHttpsOptions(Command command, HttpsOptions& options, const std::string& group = "");

// Null for an http server. Fails if the options contradict each other or the server's address, or if the file
// cannot be used.
Result<std::shared_ptr<const http::ClientTls>> MakeClientTls(const HttpsOptions& options,
                                                             const http::Url& server);

}  // namespace dray::cli
