// The signal handler may run at any moment in any thread, so what it reads is atomic, and it calls
// nothing but mmap, sigaction and the handler that was there before.
#include "base/mapping_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <utility>

namespace dray {

// One guarded mapping. Regions are never freed, for the handler may be looking at one; they are used
// again, so there are as many as there ever were mappings at the same time.
struct MappingGuard::Region {
  // 0: not in use.
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> damaged{false};
  Region* next = nullptr;
};

struct MappingGuard::Handler {
  static void Install();
  static void OnSignal(int signal, siginfo_t* info, void* context);
  static Region* Find(uintptr_t address);
  static bool Replace(Region& region, uintptr_t address);
  static void CallPrevious(int signal, siginfo_t* info, void* context);

  static inline std::atomic<Region*> regions{nullptr};
  static inline std::mutex mutex;  // for whoever adds or ends a guard; not for the handler
  static inline struct sigaction previous {};
  static inline uintptr_t page_bytes = 0;
};

void MappingGuard::Handler::Install() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    // Known before ours can run.
    ::sigaction(SIGBUS, nullptr, &previous);
    struct sigaction action {};
    action.sa_sigaction = OnSignal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, nullptr);
  });
}

MappingGuard::Region* MappingGuard::Handler::Find(uintptr_t address) {
  for (Region* region = regions.load(std::memory_order_acquire); region != nullptr;
       region = region->next) {
    const uintptr_t begin = region->begin.load();
    const uintptr_t end = region->end.load();
    // Unchanged: the two belong together.
    const bool whole = begin != 0 && region->begin.load() == begin;
    if (whole && address >= begin && address < end) return region;
  }
  return nullptr;
}

// Zeros from the lost page to the mapping's end: what is behind it is lost as well, or will be refused
// all the same, and one signal does for all of it.
bool MappingGuard::Handler::Replace(Region& region, uintptr_t address) {
  const uintptr_t page = address / page_bytes * page_bytes;
  const uintptr_t end = (region.end.load() + page_bytes - 1) / page_bytes * page_bytes;
  region.damaged.store(true);
  return ::mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

void MappingGuard::Handler::CallPrevious(int signal, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    return previous.sa_sigaction(signal, info, context);
  }
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    return previous.sa_handler(signal);
  }
  // The access is tried again when the handler returns, and ends the process as it should.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal, &standard, nullptr);
}

void MappingGuard::Handler::OnSignal(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  // Without a positive code the signal was sent by a process, and the address means nothing.
  Region* region = info->si_code > 0 ? Find(address) : nullptr;
  if (region == nullptr || !Replace(*region, address)) CallPrevious(signal, info, context);
  errno = saved_errno;
}

MappingGuard::MappingGuard(const void* begin, size_t size_bytes) {
  Handler::Install();
  const std::lock_guard lock(Handler::mutex);
  region_ = Handler::regions.load();
  while (region_ != nullptr && region_->begin.load() != 0) region_ = region_->next;
  const bool is_new = region_ == nullptr;
  if (is_new) region_ = new Region();
  const auto address = reinterpret_cast<uintptr_t>(begin);
  region_->damaged.store(false);
  region_->end.store(address + size_bytes);
  region_->begin.store(address);
  if (!is_new) return;
  region_->next = Handler::regions.load();
  Handler::regions.store(region_, std::memory_order_release);
}

MappingGuard::MappingGuard(MappingGuard&& other) noexcept
    : region_(std::exchange(other.region_, nullptr)) {}

MappingGuard& MappingGuard::operator=(MappingGuard&& other) noexcept {
  std::swap(region_, other.region_);
  return *this;
}

MappingGuard::~MappingGuard() {
  if (region_ == nullptr) return;
  const std::lock_guard lock(Handler::mutex);
  region_->begin.store(0);
}

bool MappingGuard::damaged() const { return region_ != nullptr && region_->damaged.load(); }

}  // namespace dray
