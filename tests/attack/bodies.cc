#include "attack/bodies.h"

namespace dray::attack {
namespace {

// `unit`, again and again up to about `bytes`, without what is behind the last one's end.
std::string Repeat(std::string_view unit, size_t bytes, size_t drop_at_end = 0) {
  std::string text;
  text.reserve(bytes + unit.size());
  while (text.size() < bytes) text += unit;
  text.resize(text.size() - drop_at_end);
  return text;
}

std::string WithParameters(const std::string& members) {
  return R"({"inputs":"a","parameters":{)" + members + "}}";
}

std::string WithInput(const std::string& text) { return R"({"inputs":")" + text + "\"}"; }

// A parameter whose value is a list of `count` strings that share `bytes`.
std::string WithList(std::string_view parameter, size_t count, size_t bytes) {
  const std::string entry = '"' + std::string(bytes / count, 'b') + "\",";
  return WithParameters('"' + std::string(parameter) + "\":[" +
                        Repeat(entry, entry.size() * count, 1) + "]");
}

std::string ManyInputs(size_t count, const std::string& parameters) {
  return R"({"inputs":[)" + Repeat("\"a\",", 4 * count, 1) + R"(],"parameters":{)" + parameters +
         "}}";
}

std::vector<Body> Members() {
  return {
      {"a parameter again and again, then another",
       [](size_t bytes) {
         return WithParameters(Repeat("\"seed\":1,", bytes / 2) +
                               Repeat("\"top_k\":1,", bytes / 2, 1));
       }},
      {"one parameter again and again",
       [](size_t bytes) { return WithParameters(Repeat("\"seed\":1,", bytes, 1)); }},
      {"two parameters in turn",
       [](size_t bytes) { return WithParameters(Repeat("\"n\":1,\"seed\":1,", bytes, 1)); }},
      {"a field again and again",
       [](size_t bytes) { return "{" + Repeat("\"inputs\":\"a\",", bytes, 1) + "}"; }},
      {"unknown parameters",
       [](size_t bytes) { return WithParameters(Repeat("\"x\":0,", bytes, 1)); }},
      {"a long name",
       [](size_t bytes) { return WithParameters('"' + std::string(bytes, 'x') + "\":1"); }},
  };
}

std::vector<Body> Values() {
  return {
      {"a list of zeros", [](size_t bytes) { return "[" + Repeat("0,", bytes, 1) + "]"; }},
      {"zeros as inputs",
       [](size_t bytes) { return "{\"inputs\":[" + Repeat("0,", bytes, 1) + "]}"; }},
      {"empty lists", [](size_t bytes) { return "[" + Repeat("[],", bytes, 1) + "]"; }},
      {"lists in lists", [](size_t bytes) { return std::string(bytes, '['); }},
      {"objects in objects", [](size_t bytes) { return Repeat("{\"a\":", bytes); }},
      {"a number of many digits",
       [](size_t bytes) { return WithParameters("\"temperature\":" + std::string(bytes, '1')); }},
      {"a fraction of many digits",
       [](size_t bytes) {
         return WithParameters("\"temperature\":0." + std::string(bytes, '0') + "1");
       }},
      {"white space", [](size_t bytes) { return "{" + std::string(bytes, ' ') + "x"; }},
  };
}

std::vector<Body> Numbers() {
  return {
      {"n of ten million", [](size_t) { return WithParameters("\"n\":10000000"); }},
      {"n of 2^31 - 1", [](size_t) { return WithParameters("\"n\":2147483647"); }},
      {"n of 2^63 - 1", [](size_t) { return WithParameters("\"n\":9223372036854775807"); }},
      {"64 inputs, best_of 300000", [](size_t) { return ManyInputs(64, "\"best_of\":300000"); }},
      {"top_n_tokens of 2^31 - 1",
       [](size_t) { return WithParameters("\"details\":true,\"top_n_tokens\":2147483647"); }},
      {"max_new_tokens of 2^62",
       [](size_t) { return WithParameters("\"max_new_tokens\":4611686018427387904"); }},
      {"truncate of 2^62",
       [](size_t) { return WithParameters("\"truncate\":4611686018427387904"); }},
  };
}

std::vector<Body> Texts() {
  return {
      LongPrompt(),
      {"a long prompt of words",
       [](size_t bytes) { return WithInput(Repeat("once upon ", bytes)); }},
      {"a long prompt of escapes",
       [](size_t bytes) { return WithInput(Repeat("\\u0041", bytes)); }},
      {"64 long prompts",
       [](size_t bytes) {
         const std::string entry = '"' + std::string(bytes / 64, 'a') + "\",";
         return R"({"inputs":[)" + Repeat(entry, entry.size() * 64, 1) + "]}";
       }},
      {"a long bad word", [](size_t bytes) { return WithList("bad_words", 1, bytes); }},
      {"128 long bad words", [](size_t bytes) { return WithList("bad_words", 128, bytes); }},
      {"a long stop string", [](size_t bytes) { return WithList("stop_sequences", 1, bytes); }},
      {"128 long stop strings",
       [](size_t bytes) { return WithList("stop_sequences", 128, bytes); }},
      {"many short stop strings",
       [](size_t bytes) { return WithList("stop_sequences", bytes / 4, bytes / 4); }},
      {"no UTF-8", [](size_t bytes) { return WithInput(std::string(bytes, '\xff')); }},
  };
}

}  // namespace

Body LongPrompt() {
  return {"a long prompt", [](size_t bytes) { return WithInput(std::string(bytes, 'a')); }};
}

std::vector<Body> AllBodies() {
  std::vector<Body> all;
  for (const auto& group : {Members(), Values(), Numbers(), Texts()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

}  // namespace dray::attack
