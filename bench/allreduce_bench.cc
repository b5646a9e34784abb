// What does a sum over ranks cost, over every transport, beside MPI's own MPI_Allreduce?
//
//   mpirun --bind-to none -np 2 build/release/bench/allreduce_bench
//
// The processes of the job are the ranks, each on a processor of its own. For ranks as threads,
// the first process runs all of them while the others sleep. All ways are measured in turn, for
// each size and round. A rank writes its part before each call, as a layer does, so the part comes
// from its own cache; only the call is timed. A call of dray's adds the parts to x, too;
// MPI_Allreduce does not.
#define OMPI_SKIP_MPICXX 1
#include <fcntl.h>
#include <fmt/format.h>
#include <mpi.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/machine/cpu_info.h"
#include "base/threads/worker_set.h"
#include "bench/statistics.h"
#include "cli/flags/flags.h"
#include "parallel/link.h"
#include "parallel/mpi/mpi_group.h"
#include "parallel/shared_memory_group.h"
#include "parallel/thread_group.h"
#include "value_of.h"

namespace dray::bench {
namespace {

using parallel::Communicator;

constexpr int64_t kMaxCount = 1 << 20;
constexpr int kWarmUp = 10;

// The median microseconds of call(part) over `calls` calls, each after the part has been written.
template <typename PartOf, typename Call>
double TimeCalls(int64_t count, int calls, const PartOf& part_of, const Call& call) {
  std::vector<double> microseconds;
  for (int i = 0; i < kWarmUp + calls; ++i) {
    float* const part = part_of();
    for (int64_t j = 0; j < count; ++j) part[j] = static_cast<float>(i + j % 8) * 1e-6F;
    const auto start = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    if (i >= kWarmUp) microseconds.push_back(took.count());
  }
  return Median(microseconds);
}

double TimeSums(Communicator& rank, int64_t count, int calls) {
  std::vector<float> x(static_cast<size_t>(count));
  return TimeCalls(
      count, calls, [&] { return rank.part(); },
      [&] { DRAY_CHECK(rank.AddParts(x.data(), count).ok()); });
}

double TimeMpi(int64_t count, int calls) {
  std::vector<float> part(static_cast<size_t>(count));
  std::vector<float> sum(static_cast<size_t>(count));
  return TimeCalls(
      count, calls, [&] { return part.data(); },
      [&] {
        MPI_Allreduce(part.data(), sum.data(), static_cast<int>(count), MPI_FLOAT, MPI_SUM,
                      MPI_COMM_WORLD);
      });
}

// The processes of the job.
class Job {
 public:
  explicit Job(std::shared_ptr<parallel::MpiLibrary> library)
      : library_(std::move(library)),
        cpus_(AllowedCpus()),
        mpi_(ValueOf(parallel::MakeMpiGroup({parallel::WholeJob(library_), kMaxCount}))) {
    JoinProcesses();
    if (rank() == 0) {
      threads_ = ValueOf(parallel::MakeThreadGroup({.world = world(), .max_count = kMaxCount}));
    }
    // Last: a group that is made by a bound thread takes it that there is one processor only.
    BindTo(rank());
  }

  int rank() const { return library_->job().rank; }
  int world() const { return library_->job().world; }

  // [way]: microseconds of one call; right at rank 0.
  std::map<std::string, double> Measure(int64_t count, int calls) {
    std::map<std::string, double> times;
    times["threads"] = TimeThreads(count, calls);
    MPI_Barrier(MPI_COMM_WORLD);
    times["processes"] = TimeSums(*processes_, count, calls);
    MPI_Barrier(MPI_COMM_WORLD);
    times["mpi"] = TimeSums(*mpi_, count, calls);
    MPI_Barrier(MPI_COMM_WORLD);
    times["MPI_Allreduce"] = TimeMpi(count, calls);
    MPI_Barrier(MPI_COMM_WORLD);
    return times;
  }

 private:
  void BindTo(int rank) const {
    BindThread(pthread_self(), {cpus_[static_cast<size_t>(rank) % cpus_.size()]});
  }

  // Of rank 0's memory files, by its number in the system.
  int OpenOfRankZero(int descriptor) const {
    int64_t where[2] = {::getpid(), descriptor};
    MPI_Bcast(where, 2, MPI_INT64_T, 0, MPI_COMM_WORLD);
    const int opened = ::open(fmt::format("/proc/{}/fd/{}", where[0], where[1]).c_str(), O_RDWR);
    DRAY_CHECK(opened >= 0);
    MPI_Barrier(MPI_COMM_WORLD);  // now all have it
    return opened;
  }

  void JoinProcesses() {
    const auto group =
        ValueOf(parallel::SharedMemoryGroup::Create({.world = world(), .max_count = kMaxCount}));
    processes_ = ValueOf(parallel::JoinSharedMemoryGroup(
        {.descriptor = OpenOfRankZero(group.descriptor()), .rank = rank()}));
    // Many threads: who waits for a message sleeps.
    for (int to = 1; to < world(); ++to) {
      const auto link = ValueOf(parallel::SharedMemoryLink::Create(
          {.from = 0, .to = to, .max_bytes = 1, .threads = 1 << 20}));
      const int descriptor = OpenOfRankZero(link.descriptor());
      if (rank() == 0) wakers_.push_back(ValueOf(parallel::JoinAsSender(descriptor)));
      if (rank() == to) sleeper_ = ValueOf(parallel::JoinAsReceiver(descriptor));
      MPI_Barrier(MPI_COMM_WORLD);  // rank 0's link goes away
    }
  }

  double TimeThreads(int64_t count, int calls) {
    std::byte message{};
    if (rank() != 0) {
      DRAY_CHECK(sleeper_->Receive({&message, 1}).ok());
      return 0;
    }
    std::vector<std::thread> others;
    for (int other = 1; other < world(); ++other) {
      others.emplace_back([this, other, count, calls] {
        BindTo(other);
        TimeSums(*threads_[static_cast<size_t>(other)], count, calls);
      });
    }
    const double time = TimeSums(*threads_[0], count, calls);
    for (std::thread& other : others) other.join();
    for (auto& waker : wakers_) DRAY_CHECK(waker->Send({&message, 1}).ok());
    return time;
  }

  std::shared_ptr<parallel::MpiLibrary> library_;
  const std::vector<int> cpus_;
  std::unique_ptr<Communicator> mpi_;
  std::unique_ptr<Communicator> processes_;
  std::vector<std::unique_ptr<Communicator>> threads_;  // at rank 0
  std::vector<std::unique_ptr<parallel::LinkSender>> wakers_;
  std::unique_ptr<parallel::LinkReceiver> sleeper_;
};

struct Options {
  int rounds = 9;
  std::vector<int64_t> kib = {8, 16, 32, 64, 128, 256, 512, 1024};
  std::string library = DRAY_MPI_LIBRARY;
};

// A row of the table: medians over all rounds, and ratios of figures of the same round.
void Print(int64_t kib, const std::vector<std::map<std::string, double>>& rounds) {
  std::string row = fmt::format("{:>8}", kib);
  for (const char* way : {"threads", "processes", "mpi", "MPI_Allreduce"}) {
    std::vector<double> times;
    std::vector<double> ratios;
    for (const auto& round : rounds) {
      times.push_back(round.at(way));
      ratios.push_back(round.at(way) / round.at("MPI_Allreduce"));
    }
    row += fmt::format(" {:>9.1f} ({:.2f})", Median(times), Median(ratios));
  }
  fmt::print("{}\n", row);
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
  Options options;
  const auto exit_code = cli::ParseFlags(
      "Microseconds of a sum over ranks; run it under mpirun",
      {{.names = "--rounds",
        .target = &options.rounds,
        .help = "of all ways in turn; the median counts"},
       {.names = "--kib", .target = cli::CommaList{&options.kib}, .help = "sizes of a part"},
       {.names = "--library", .target = &options.library, .help = "libdray_mpi.so"}},
      argc, argv);
  if (exit_code) return *exit_code;
  Job job(ValueOf(parallel::MpiLibrary::Open(options.library)));
  if (job.rank() == 0) {
    fmt::print("{} ranks; microseconds (beside MPI_Allreduce)\n{:>8} {:>16} {:>16} {:>16} {:>16}\n",
               job.world(), "KiB", "threads", "processes", "dray over MPI", "MPI_Allreduce");
  }
  for (const int64_t kib : options.kib) {
    const int64_t count = std::min(kib * 1024 / 4, kMaxCount);
    // Some ten milliseconds at a few gigabytes each second.
    const int calls = static_cast<int>(std::clamp<int64_t>(64 * 1024 / kib, 50, 2000));
    std::vector<std::map<std::string, double>> rounds;
    rounds.reserve(static_cast<size_t>(options.rounds));
    for (int round = 0; round < options.rounds; ++round) {
      rounds.push_back(job.Measure(count, calls));
    }
    if (job.rank() == 0) Print(kib, rounds);
  }
  return 0;
}

}  // namespace
}  // namespace dray::bench

int main(int argc, char** argv) { return dray::bench::Main(argc, argv); }
