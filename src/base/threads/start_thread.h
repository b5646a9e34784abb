// Starting a thread on a system that may give no more of them.
#pragma once

#include <functional>
#include <string>
#include <thread>

#include "base/status.h"

namespace dray {

// Starts a thread that runs `body`. kResourceExhausted, naming `what` ("a computing thread"), if the system gives no more
// threads.
Result<std::thread> StartThread(const std::string& what, std::function<void()> body);

}  // namespace dray
