#include "attack/started_server.h"

#include <charconv>

namespace dray::attack {
namespace {

std::vector<std::string> CommandLine(const std::string& program,
                                     const std::vector<std::string>& flags) {
  std::vector<std::string> line = {program, "serve", "demo", "--port", "0"};
  line.insert(line.end(), flags.begin(), flags.end());
  return line;
}

}  // namespace

StartedServer::StartedServer(const std::string& program, const std::vector<std::string>& flags)
    : process_(CommandLine(program, flags)) {
  const auto line = process_.ReadUntil("serving demo on ");
  if (!line) return;
  std::from_chars(line->data() + line->rfind(':') + 1, line->data() + line->size(), port_);
}

}  // namespace dray::attack
