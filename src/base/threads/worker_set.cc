#include "base/threads/worker_set.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>

#include "base/machine/cpu_info.h"
#include "base/machine/cpu_topology.h"
#include "base/threads/spin.h"
#include "base/threads/start_thread.h"

namespace dray {
namespace {

const std::vector<int> kAnyCpu;

}  // namespace

void WaitForChange(const std::atomic<uint32_t>& word, uint32_t old) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; word.load(std::memory_order_acquire) == old; ++i) {
    PauseProcessor();
    if (i % kPausesPerLook == kPausesPerLook - 1 &&
        std::chrono::steady_clock::now() - start > kSpinTime) {
      while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
      return;
    }
  }
}

void BindThread(std::thread::native_handle_type thread, const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) {
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  pthread_setaffinity_np(thread, sizeof(set), &set);
}

std::vector<int> PlacesOfPool(int num_places, int num_threads, int home) {
  std::vector<int> places;
  const int homes = std::max(1, num_places / num_threads);
  for (int i = 0; i < num_threads; ++i) {
    const auto even = static_cast<int>(int64_t{i} * num_places / num_threads);
    places.push_back(num_threads > num_places ? i : even + home % homes);
  }
  return places;
}

std::vector<std::vector<int>> CpusOfPlaces(const std::vector<std::vector<int>>& nodes,
                                           int num_threads) {
  std::vector<std::vector<int>> cpus;
  for (const auto& node : nodes) {
    for (const int cpu : node) cpus.push_back(nodes.size() > 1 ? node : std::vector<int>{cpu});
  }
  if (num_threads == static_cast<int>(cpus.size())) {
    size_t place = 0;
    for (const auto& node : nodes) {
      for (const int cpu : node) cpus[place++] = {cpu};
    }
  } else if (nodes.size() == 1 || num_threads > static_cast<int>(cpus.size())) {
    cpus.assign(std::max(cpus.size(), static_cast<size_t>(num_threads)), {});
  }
  return cpus;
}

std::shared_ptr<WorkerSet> WorkerSet::OfProcess() {
  static std::mutex mutex;
  static std::weak_ptr<WorkerSet> current;
  const std::lock_guard lock(mutex);
  std::shared_ptr<WorkerSet> set = current.lock();
  if (set == nullptr) {
    set = std::make_shared<WorkerSet>();
    current = set;
  }
  return set;
}

WorkerSet::WorkerSet()
    : nodes_(CpusByNode(AllowedCpus())), num_cpus_(static_cast<int>(AllowedCpus().size())) {}

WorkerSet::~WorkerSet() {
  for (const auto* places : {&places_, &own_places_}) {
    for (const auto& place : *places) {
      if (!place->thread.joinable()) continue;
      place->stop = true;
      place->posts.fetch_add(1, std::memory_order_release);
      place->posts.notify_one();
      place->thread.join();
    }
  }
}

int WorkerSet::num_threads() const {
  const std::lock_guard lock(mutex_);
  const auto count = [](const auto& places) {
    return static_cast<int>(std::count_if(
        places.begin(), places.end(), [](const auto& place) { return place->thread.joinable(); }));
  };
  return count(places_) + count(own_places_);
}

Result<WorkerSet::Home> WorkerSet::Join(int num_threads, Pinning pinning) {
  DRAY_ASSIGN_OR_RETURN(auto homes, JoinGroup({.num_threads = num_threads, .pinning = pinning}));
  return std::move(homes.front());
}

Result<std::vector<WorkerSet::Home>> WorkerSet::JoinGroup(const GroupSpec& spec) {
  const std::lock_guard lock(mutex_);
  const int num_all = spec.num_pools * spec.num_threads;
  num_homes_.resize(std::max(num_homes_.size(), static_cast<size_t>(num_all) + 1));
  const int number = num_homes_[static_cast<size_t>(num_all)]++;
  const std::vector<int> indices = PlacesOfPool(num_cpus_, num_all, number);
  const auto cpus = CpusOfPlaces(nodes_, num_all);
  const bool is_shared = spec.turns == GroupTurns::kTogether;
  // Places are numbered node by node, so a pool's places lie on as few nodes as possible.
  std::vector<Home> homes(static_cast<size_t>(spec.num_pools));
  for (size_t i = 0; i < indices.size(); ++i) {
    Home& home = homes[i / static_cast<size_t>(spec.num_threads)];
    WorkPlace& place = is_shared ? SharedPlace(indices[i]) : OwnPlace();
    home.places.push_back(&place);
    const auto& own_cpus = cpus[static_cast<size_t>(indices[i])];
    const auto& bound_to = spec.pinning == Pinning::kPinned ? own_cpus : kAnyCpu;
    if (home.places.size() == 1) {
      home.caller_cpus = bound_to;
      continue;
    }
    const Status staffed = Staff(place, bound_to);
    if (staffed.ok()) continue;
    for (const Home& begun : homes) {
      if (!is_shared) FreeOwnPlaces(begun.places);
    }
    return staffed;
  }
  return homes;
}

Status WorkerSet::Staff(WorkPlace& place, const std::vector<int>& cpus) {
  if (!place.thread.joinable()) {
    DRAY_ASSIGN_OR_RETURN(place.thread,
                          StartThread("a computing thread", [&place] { Work(place); }));
  }
  if (!cpus.empty()) BindThread(place.thread.native_handle(), cpus);
  return OkStatus();
}

WorkPlace& WorkerSet::SharedPlace(int index) {
  const auto idx = static_cast<size_t>(index);
  while (places_.size() <= idx) places_.push_back(std::make_unique<WorkPlace>());
  return *places_[idx];
}

WorkPlace& WorkerSet::OwnPlace() {
  if (free_own_places_.empty()) {
    own_places_.push_back(std::make_unique<WorkPlace>());
    return *own_places_.back();
  }
  WorkPlace* place = free_own_places_.back();
  free_own_places_.pop_back();
  return *place;
}

void WorkerSet::LeaveOwnPlaces(const std::vector<WorkPlace*>& places) {
  const std::lock_guard lock(mutex_);
  FreeOwnPlaces(places);
}

void WorkerSet::FreeOwnPlaces(const std::vector<WorkPlace*>& places) {
  free_own_places_.insert(free_own_places_.end(), places.begin(), places.end());
}

Team* WorkerSet::NewTeam() {
  const std::lock_guard lock(mutex_);
  if (free_teams_.empty()) {
    teams_.push_back(std::make_unique<Team>());
    return teams_.back().get();
  }
  Team* team = free_teams_.back();
  free_teams_.pop_back();
  return team;
}

void WorkerSet::ReturnTeam(Team* team) {
  const std::lock_guard lock(mutex_);
  free_teams_.push_back(team);
}

void WorkerSet::Post(WorkPlace& place, Team* team, int thread_idx) {
  place.team = team;
  place.thread_idx = thread_idx;
  place.posts.fetch_add(1, std::memory_order_release);
  place.posts.notify_one();
}

void WorkerSet::Work(WorkPlace& place) {
  for (uint32_t seen = 0;; ++seen) {
    WaitForChange(place.posts, seen);
    if (place.stop) return;
    Team& team = *place.team;
    team.region(team.context, place.thread_idx);
    if (team.pending.fetch_sub(1, std::memory_order_acq_rel) == 1) team.pending.notify_one();
  }
}

}  // namespace dray
