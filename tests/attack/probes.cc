#include "attack/probes.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "http/testing/test_client.h"

namespace dray::attack {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{60'000};
constexpr milliseconds kPause{2};

void Ask(uint16_t port, const std::string& request, Waits& waits) {
  const auto start = Clock::now();
  http::TestClient client(port);
  client.Send(request);
  const http::TestResponse response = client.Receive(kPatience);
  if (response.status != 200) {
    ++waits.num_failed;
    waits.last_failure = response.head + response.body;
  }
  waits.seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
}

Probes ProbeWhile(uint16_t port, Attack::LeavesRoomFor leaves_room_for,
                  const std::function<bool()>& goes_on) {
  const std::string ping = "GET /ping HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n";
  const std::string prompt =
      http::PostRequest("/invocations", R"({"inputs":"One day","parameters":{"max_new_tokens":1}})",
                        "Content-Type: application/json\r\nConnection: close\r\n");
  Probes probes;
  while (goes_on()) {
    Ask(port, ping, probes.pings);
    if (leaves_room_for == Attack::LeavesRoomFor::kRequests) Ask(port, prompt, probes.answers);
    std::this_thread::sleep_for(kPause);
  }
  return probes;
}

}  // namespace

double Waits::P99() const {
  if (seconds.empty()) return 0;
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  return sorted[std::min(sorted.size() - 1, sorted.size() * 99 / 100)];
}

void Probes::Add(const Probes& more) {
  const auto add = [](Waits& to, const Waits& from) {
    to.seconds.insert(to.seconds.end(), from.seconds.begin(), from.seconds.end());
    to.num_failed += from.num_failed;
    if (from.num_failed > 0) to.last_failure = from.last_failure;
  };
  add(pings, more.pings);
  add(answers, more.answers);
}

Probes ProbeFor(uint16_t port, Attack::LeavesRoomFor leaves_room_for, milliseconds time) {
  const auto end = Clock::now() + time;
  return ProbeWhile(port, leaves_room_for, [end] { return Clock::now() < end; });
}

Probes ProbeDuring(uint16_t port, const Attack& attack, milliseconds time) {
  std::atomic<bool> stop{false};
  std::thread attacker([&] {
    const auto end = Clock::now() + time;
    while (Clock::now() < end) attack.run(port);
    stop = true;
  });
  Probes probes = ProbeWhile(port, attack.leaves_room_for, [&] { return !stop; });
  attacker.join();
  return probes;
}

}  // namespace dray::attack
