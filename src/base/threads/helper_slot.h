// Work that the thread of one pool leaves to a thread that would only wait for it.
//
// Ranks that are threads of one process wait for each other many times in a step. Threads of one pool
// take work from each other, so that a slow processor delays none of them; by a helper slot the pools
// of ranks do so, too. While a pool's thread 0 works on a region that can be divided, it offers the
// rest of it. A thread that waits for that pool takes the offer, works until nothing is left, and waits
// again.
//
// Threads: one thread offers; any thread may help, one at a time.
#pragma once

#include <atomic>
#include <cstdint>

namespace dray {

class HelperSlot {
 public:
  // Takes the offer, if there is one and no other thread has taken it: works until nothing is left.
  // Returns whether there was an offer to take. Allocates nothing.
  bool Help();

 private:
  friend class HelpOffer;
  enum State : uint32_t {
    kClosed,  // nothing to do
    kOpen,    // an offer that no thread has taken
    kTaken,   // a thread helps; closes the slot when nothing is left
  };

  void Open(void (*work)(const void* context), const void* context);
  // Withdraws the offer, or waits until the thread that has taken it is through.
  void Close();

  // On a cache line of its own: others spin on it.
  alignas(64) std::atomic<uint32_t> state_{kClosed};
  // Written while the slot is closed.
  void (*work_)(const void* context) = nullptr;
  const void* context_ = nullptr;
};

// An offer to help, as long as this object lives.
class HelpOffer {
 public:
  // `work()` works until nothing is left to do, beside the thread that makes the offer. It is called
  // by one other thread or not at all, must not throw, and must live as long as the offer.
  template <typename Work>
  HelpOffer(HelperSlot& slot, const Work& work) : slot_(slot) {
    slot_.Open([](const void* context) { (*static_cast<const Work*>(context))(); }, &work);
  }
  HelpOffer(const HelpOffer&) = delete;
  HelpOffer& operator=(const HelpOffer&) = delete;
  ~HelpOffer() { slot_.Close(); }

 private:
  HelperSlot& slot_;
};

}  // namespace dray
