// Which requests a model takes: up to a limit, and none any more once it drains. Admission and
// draining are decided here alone.
//
// Threads: any.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

namespace dray::serving {

class Admission {
  struct State;

 public:
  // The place of one request; it is free again when the ticket is destroyed or assigned to. Tickets
  // may outlive the Admission.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&&) noexcept = default;
    Ticket& operator=(Ticket&& other) noexcept {
      Leave();
      state_ = std::move(other.state_);
      return *this;
    }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    ~Ticket() { Leave(); }

   private:
    friend class Admission;
    explicit Ticket(std::shared_ptr<State> state) : state_(std::move(state)) {}
    void Leave();

    std::shared_ptr<State> state_;
  };

  enum class Refusal { kFull, kDraining };

  explicit Admission(int64_t max_requests);

  std::variant<Ticket, Refusal> Enter();
  // What Enter would say at this moment; nothing if it would give a ticket.
  std::optional<Refusal> RefusalNow() const;
  // Refuses from now on; requests that are in stay.
  void BeginDrain();
  bool draining() const;
  // Requests that are in.
  int64_t count() const;
  int64_t max_requests() const;
  void SetMaxRequests(int64_t max_requests);
  // Waits until no request is in; false if `deadline` comes first.
  bool WaitUntilEmpty(std::chrono::steady_clock::time_point deadline) const;

 private:
  struct State {
    mutable std::mutex mutex;
    mutable std::condition_variable left;
    int64_t max_requests = 0;
    int64_t count = 0;
    bool draining = false;

    // The caller holds the mutex.
    std::optional<Refusal> RefusalLocked() const;
  };
  const std::shared_ptr<State> state_;
};

}  // namespace dray::serving
