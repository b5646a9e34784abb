#include "cli/flags/https_options.h"

#include <fmt/format.h>

namespace dray::cli {

void AddHttpsOptions(Command command, HttpsOptions& options, const std::string& group) {
  command.Add({.names = "--ca",
               .target = &options.authorities_file,
               .help = "With https: the certificates of the authorities to trust, or the server's "
                       "own, in PEM form. Default: the system's authorities.",
               .type = "FILE",
               .group = group});
  command.Add({.names = "-k,--insecure",
               .target = &options.insecure,
               .help = "With https: take any certificate",
               .group = group});
}

Result<std::shared_ptr<const http::ClientTls>> MakeClientTls(const HttpsOptions& options,
                                                             const http::Url& server) {
  const bool has_file = !options.authorities_file.empty();
  if (has_file && options.insecure) {
    return Status(StatusCode::kInvalidArgument,
                  "--ca says whom to trust, and --insecure asks for no trust; give one of them");
  }
  if (server.tls) {
    using Check = http::ClientTrust::Check;
    return http::ClientTls::Make(
        {.authorities_file = options.authorities_file,
         .check = options.insecure ? Check::kNothing : Check::kAuthorityAndName});
  }
  if (!has_file && !options.insecure) return std::shared_ptr<const http::ClientTls>();
  return Status(
      StatusCode::kInvalidArgument,
      fmt::format("--ca and --insecure are for https, but the server is {}", server.ToString()));
}

}  // namespace dray::cli
