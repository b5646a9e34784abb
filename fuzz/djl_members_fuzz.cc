// Parameters with many members: of equal names the last counts, so a request with thousands of members is
// read as one that has only the last of each name.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/djl/djl_call.h"
#include "api/djl/djl_parameters.h"
#include "base/check.h"

namespace {

constexpr std::array<std::string_view, 12> kValues = {
    "1",   "0",     "-1", "null",    "true", "false",
    "0.5", "\"a\"", "[]", "[\"a\"]", "[1]",  "9223372036854775807"};

struct Member {
  size_t name = 0;
  size_t value = 0;
};

// Without the members that a later one of the same name overrides.
std::vector<Member> LastOfEach(const std::vector<Member>& members, size_t num_names) {
  std::vector<size_t> last(num_names);
  for (size_t i = 0; i < members.size(); ++i) last[members[i].name] = i;
  std::vector<Member> kept;
  for (size_t i = 0; i < members.size(); ++i) {
    if (last[members[i].name] == i) kept.push_back(members[i]);
  }
  return kept;
}

std::string Body(const std::vector<Member>& members, size_t times) {
  const auto names = dray::api::DjlParameters();
  std::string list;
  for (size_t i = 0; i < times; ++i) {
    for (const Member& member : members) {
      if (!list.empty()) list += ',';
      list += '"' + std::string(names[member.name].spelling) + "\":";
      list += kValues[member.value];
    }
  }
  return R"({"inputs":"a","parameters":{)" + list + "}}";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kMaxMembers = 4000;
  const size_t num_names = dray::api::DjlParameters().size();
  std::vector<Member> members;
  for (size_t i = 0; i + 1 < size && members.size() < kMaxMembers; i += 2) {
    members.push_back({data[i] % num_names, data[i + 1] % kValues.size()});
  }
  if (members.empty()) return 0;
  const dray::api::CallReader reader(dray::settings::AnswerShape::kTokens,
                                     dray::api::Delivery::kWhole);
  const auto many = reader.ReadJson(Body(members, kMaxMembers / members.size()));
  const auto few = reader.ReadJson(Body(LastOfEach(members, num_names), 1));
  DRAY_CHECK(many.ok() == few.ok());
  if (!many.ok()) return 0;
  const auto& a = *many;
  const auto& b = *few;
  DRAY_CHECK(a.inputs == b.inputs && a.num_returned == b.num_returned && a.details == b.details);
  DRAY_CHECK(a.top_n_tokens == b.top_n_tokens);
  DRAY_CHECK(a.request.max_new_tokens == b.request.max_new_tokens);
  DRAY_CHECK(a.request.params.n == b.request.params.n &&
             a.request.params.seed == b.request.params.seed);
  DRAY_CHECK(a.request.params.stop_strings == b.request.params.stop_strings);
  return 0;
}
