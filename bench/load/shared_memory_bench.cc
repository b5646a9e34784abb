// How much memory do several servers of one artifact take? Starts them, has each answer once, and sums up what the
// kernel counts: resident memory, in which shared pages count for every process, and proportional memory, in which a
// page that n processes share counts as an n-th for each.
//
//   shared_memory_bench ARTIFACT [--servers 2] [--program build/release/dray]
#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "bench/machine_limits.h"
#include "cli/flags/flags.h"
#include "serving/measured_server.h"
#include "testing/http_client.h"

namespace dray::bench {
namespace {

// Of /proc/PID/smaps_rollup, in bytes; 0 if the kernel does not tell.
int64_t MemoryOf(pid_t pid, const std::string& key) {
  std::ifstream file(fmt::format("/proc/{}/smaps_rollup", pid));
  for (std::string word; file >> word;) {
    int64_t kib = 0;
    if (word == key && file >> kib) return kib << 10;
  }
  return 0;
}

int Run(int argc, char** argv) {
  std::string artifact, program = "build/release/dray";
  int num_servers = 2;
  const auto exit_code = cli::ParseFlags(
      "Memory of several servers of one artifact",
      {{.names = "artifact", .target = &artifact, .help = "Its folder", .is_required = true},
       {.names = "--servers", .target = &num_servers, .help = "How many", .shows_default = true},
       {.names = "--program", .target = &program, .help = "dray", .shows_default = true}},
      argc, argv);
  if (exit_code) return *exit_code;
  std::vector<std::unique_ptr<MeasuredServer>> servers;
  for (int i = 0; i < num_servers; ++i) {
    servers.push_back(std::make_unique<MeasuredServer>(
        std::vector<std::string>{program, "serve", artifact, "--port", "0", "--artifact-memory",
                                 "map", "--kv-cache-bytes", "64MiB"},
        UsableProcessors()));
    int64_t resident = 0, proportional = 0;
    for (const auto& server : servers) {
      const auto answer = testing::Post(server->port(), "/invocations",
                                        R"({"inputs": "a", "parameters": {"max_new_tokens": 4}})");
      if (!answer || answer->status != 200) {
        fmt::print(stderr, "shared_memory_bench: {}\n", answer ? answer->body : "no answer");
        return 1;
      }
      resident += MemoryOf(server->pid(), "Rss:");
      proportional += MemoryOf(server->pid(), "Pss:");
    }
    fmt::print("{} servers: resident {:.0f} MB together, of which {:.0f} MB are taken\n",
               servers.size(), static_cast<double>(resident) / 1e6,
               static_cast<double>(proportional) / 1e6);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::GuardedMain(argc, argv, dray::bench::Run); }
