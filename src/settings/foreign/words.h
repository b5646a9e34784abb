// Comparing the words of keys and of lists of them.
#pragma once

#include <string>
#include <string_view>

namespace dray::settings {

std::string ToLower(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);
// Whether `word` is one of the words, divided by spaces, of `list`; compared without case.
bool ListHolds(std::string_view list, std::string_view word);

// How many single-letter edits lie between two words.
size_t EditDistance(std::string_view a, std::string_view b);

}  // namespace dray::settings
