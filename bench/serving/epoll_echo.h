// The least that a server can do: one thread waits with epoll, reads a POST over a kept connection and sends
// its body back. What dray needs beyond it is dray's overhead.
#pragma once

namespace dray::bench {

// Listens on a free port of the loopback, prints "serving on http://127.0.0.1:PORT", and serves until the
// process is killed. Returns an exit code if it cannot listen.
int ServeEpollEcho();

}  // namespace dray::bench
