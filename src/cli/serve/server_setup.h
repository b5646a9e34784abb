// From an operator's settings to the HTTP server's options and endpoints.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "http/server.h"
#include "settings/settings.h"

namespace dray::cli {

// Fails if a file of keys cannot be read.
Result<http::ServerOptions> MakeServerOptions(const settings::ServerSettings& settings);

// What is answered where: one endpoint for inference, and one for management if it has an address of its own.
// Fails if the files of a certificate cannot be used.
Result<std::vector<http::Endpoint>> MakeEndpoints(const settings::ServerSettings& settings,
                                                  http::Router inference, http::Router management);

// The server's addresses, with the ports that it got.
std::vector<settings::ListenAddress> BoundAddresses(const settings::ServerSettings& settings,
                                                    const http::Server& server);

// A command line that asks the server at `address` for a completion.
std::string ExampleCommand(settings::ListenAddress address);

}  // namespace dray::cli
