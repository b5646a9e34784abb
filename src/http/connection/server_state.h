// What the connections of one server share.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/server.h"

namespace dray::http {

class Connection;

struct ServerState {
  ServerOptions options;
  // Does not change once the server has started.
  std::vector<Endpoint> endpoints;
  std::atomic<bool> draining{false};
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> cancelled{0};
  std::atomic<uint64_t> handler_exceptions{0};
  // [status / 100 - 1]
  std::array<std::atomic<uint64_t>, 5> responses{};
  // Set by the server's start.
  std::shared_ptr<BodyBudget> body_budget;

  std::mutex mutex;
  // A connection has ended, or the last request in flight has.
  std::condition_variable changed;
  int64_t requests_in_flight = 0;
  std::unordered_map<Connection*, std::weak_ptr<Connection>> connections;

  // Those that are still alive.
  std::vector<std::shared_ptr<Connection>> Connections();
  Response MakeError(int status, const std::string& message, const Request* request) const;
};

}  // namespace dray::http
