#include "plan/shape/shipped_shapes.h"

#include <algorithm>
#include <string>

namespace dray::plan {
namespace {

struct OtherName {
  std::string_view other;
  std::string_view name;
};

// Names of the hub that differ from those of the folders.
constexpr OtherName kOtherNames[] = {
    {"bloom", "bloom-176b"},
    {"gpt-j", "gpt-j-6b"},
    {"llama-2-7b", "llama-7b"},
    {"llama-2-7b-hf", "llama-7b"},
    {"meta-llama-3-70b", "llama-3-70b"},
    {"meta-llama-3-8b", "llama-3-8b"},
    {"mistral-7b-v0.1", "mistral-7b"},
};

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

}  // namespace

const ShippedShape* FindShippedShape(std::string_view name) {
  std::string wanted = LowerCase(name.substr(name.rfind('/') + 1));
  for (const auto& [other, shipped] : kOtherNames) {
    if (wanted == other) wanted = shipped;
  }
  const auto shapes = ShippedShapes();
  const auto found = std::find_if(shapes.begin(), shapes.end(),
                                  [&](const ShippedShape& shape) { return shape.name == wanted; });
  return found == shapes.end() ? nullptr : &*found;
}

}  // namespace dray::plan
