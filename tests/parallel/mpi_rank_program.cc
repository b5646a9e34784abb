// One rank of an MPI job: what the tests of groups over MPI start by mpirun.
//
//   mpi_rank_program LIBRARY COMMAND      LIBRARY: the path of libdray_mpi.so
//
//   cases   runs the cases that every communicator must pass, in a group of all ranks and in one of
//           the same ranks in another order; prints what is wrong
//   link    rank 0 sends messages to rank 1, which compares them
//   late    rank 1 does not come to a sum, of which rank 0 prints why it failed; rank 1 prints what
//           it heard of that, and ends
//   refusals  prints what a group and a link refuse to be, for a job of one rank
//   again   opens the library a second time
//   abort   rank 1 aborts the group; rank 0 prints why its sum failed, and ends
//
// Ends with 0, with 1 if a result is wrong, with 3 if a call failed.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "parallel/mpi/mpi_group.h"
#include "parallel/mpi/mpi_library.h"
#include "parallel/mpi/mpi_link.h"
#include "parallel/rank_duties.h"
#include "parallel/testing/conformance.h"

namespace dray::parallel {
namespace {

using Library = std::shared_ptr<MpiLibrary>;

int Cases(const Library& library) {
  MpiChannelSpec backwards = WholeJob(library);
  std::reverse(backwards.members.begin(), backwards.members.end());
  backwards.rank = library->job().world - 1 - library->job().rank;
  backwards.channel = 1;
  auto first = MakeMpiGroup({WholeJob(library), kConformanceMaxCount});
  auto second = MakeMpiGroup({backwards, kConformanceMaxCount});
  if (!first.ok()) return Fail(first.status());
  if (!second.ok()) return Fail(second.status());
  return RunCases(**first) + RunCases(**second) == 0 ? 0 : 1;
}

int RunLink(const Library& library) {
  constexpr int64_t kCount = 300;
  constexpr int64_t kMaxBytes = 100'000;
  const MpiLinkSpec spec{library, {.from = 0, .to = 1, .max_bytes = kMaxBytes, .depth = 3}, 5};
  if (library->job().rank == 0) {
    auto link = MakeMpiSender(spec);
    return link.ok() ? SendMessages(**link, kCount, kMaxBytes) : Fail(link.status());
  }
  auto link = MakeMpiReceiver(spec);
  return link.ok() ? ReceiveMessages(**link, kCount, kMaxBytes) : Fail(link.status());
}

// mpirun kills this rank when another one has ended after a failure.
int WaitToBeKilled() {
  for (;;) ::pause();
}

int Late(const Library& library) {
  MpiChannelSpec spec = WholeJob(library);
  spec.timeout = std::chrono::milliseconds(300);
  if (library->job().rank == 1) {
    MpiChannel channel(spec);
    while (channel.CheckEnd().ok()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    Print(fmt::format("rank 1 heard: {}", channel.CheckEnd().message()));
    return 3;
  }
  auto rank = MakeMpiGroup({spec, 100});
  if (!rank.ok()) return Fail(rank.status());
  float x[100] = {};
  Print(fmt::format("rank 0 found: {}", (*rank)->AddParts(x, 100).ToString()));
  return WaitToBeKilled();
}

int Abort(const Library& library) {
  auto rank = MakeMpiGroup({WholeJob(library), 100});
  if (!rank.ok()) return Fail(rank.status());
  float x[100] = {};
  if (library->job().rank == 1) {
    (*rank)->Abort({StatusCode::kCancelled, "enough"});
    Print(fmt::format("rank 1: {}", (*rank)->AddParts(x, 100).ToString()));
    return WaitToBeKilled();
  }
  Print(fmt::format("rank 0: {}", (*rank)->AddParts(x, 100).ToString()));
  Print(fmt::format("rank 0 again: {}", (*rank)->Gather(x, 100, x).ToString()));
  return 3;
}

// Prints what is refused, for a job of one rank.
int PrintRefusals(const Library& library) {
  const auto print_group = [&](MpiChannelSpec channel, int64_t max_count) {
    Print(MakeMpiGroup({std::move(channel), max_count}).status().ToString());
  };
  MpiChannelSpec spec = WholeJob(library);
  print_group(spec, 0);
  print_group(spec, kMaxMpiBytes / 4 + 1);
  spec.channel = kMaxMpiChannels;
  print_group(spec, 1);
  spec = WholeJob(library);
  spec.members.push_back(1);
  print_group(spec, 1);
  spec = WholeJob(library);
  spec.rank = 1;
  print_group(spec, 1);
  const auto print_link = [&](const LinkSpec& link) {
    Print(MakeMpiSender({library, link, 1}).status().ToString());
  };
  print_link({.from = 0, .to = 0, .max_bytes = 0});
  print_link({.from = 0, .to = 1, .max_bytes = 1});
  print_link({.from = 0, .to = 0, .max_bytes = kMaxMpiBytes + 1});
  return 0;
}

int Run(const std::vector<std::string_view>& arguments) {
  if (arguments.size() != 3) {
    Print("usage: mpi_rank_program LIBRARY COMMAND");
    return 2;
  }
  auto library = MpiLibrary::Open(arguments[1]);
  if (!library.ok()) return Fail(library.status());
  if (arguments[2] == "cases") return Cases(*library);
  if (arguments[2] == "link") return RunLink(*library);
  if (arguments[2] == "refusals") return PrintRefusals(*library);
  if (arguments[2] == "again") return Fail(MpiLibrary::Open(arguments[1]).status());
  return arguments[2] == "late" ? Late(*library) : Abort(*library);
}

}  // namespace
}  // namespace dray::parallel

int main(int argc, char** argv) { return dray::parallel::Run({argv, argv + argc}); }
