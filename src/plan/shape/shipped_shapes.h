// The shapes that are part of the program, so that a plan needs no files: the config.json files of
// bench/shapes, by the names of their folders.
#pragma once

#include <span>
#include <string_view>

namespace dray::plan {

struct ShippedShape {
  std::string_view name;    // "bloom-176b"
  std::string_view config;  // the text of its config.json
};

// Sorted by name.
std::span<const ShippedShape> ShippedShapes();
// Finds a shape by its name in any case, or by the last part of a hub's name ("facebook/opt-30b").
// Null if there is none.
const ShippedShape* FindShippedShape(std::string_view name);

}  // namespace dray::plan
