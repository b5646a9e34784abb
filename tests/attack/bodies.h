// Request bodies that cost a careless server far more than they cost their sender. Each is valid HTTP;
// the server must refuse it, or answer it, at a price in proportion to its size.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace dray::attack {

struct Body {
  std::string_view name;
  // The JSON, of about `bytes` bytes (fewer where the attack is a number).
  std::function<std::string(size_t bytes)> make;
};

// One input of the letter a.
Body LongPrompt();

// All of them, the ones first that were found to work once.
std::vector<Body> AllBodies();

}  // namespace dray::attack
