// A sink that writes an engine's events as lines, so that tests can compare all that requests get.
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "engine/engine.h"

namespace dray::engine {

using Lines = std::vector<std::string>;

// Writes each event as a line. Numbers are hexadecimal, so that no bit is lost.
class ScribeSink : public EventSink {
 public:
  void OnEvent(Event event) override {
    const auto tops = [](const std::vector<sampling::TokenLogprob>& list) {
      std::string text;
      for (const sampling::TokenLogprob& top : list)
        text += fmt::format(" {}:{:a}", top.id, top.logprob);
      return text;
    };
    if (const auto* prompt = std::get_if<PromptEvent>(&event)) {
      std::string line = "prompt";
      for (size_t i = 0; i < prompt->logprobs.size(); ++i) {
        line += fmt::format(" {:a} ({} )", prompt->logprobs[i], tops(prompt->tops[i]));
      }
      shared.push_back(line);
    } else if (const auto* token = std::get_if<TokenEvent>(&event)) {
      ids[token->sequence_idx].push_back(token->token.id);
      samples[token->sequence_idx].push_back(
          fmt::format("{} {:a}{}", token->token.id, token->token.logprob, tops(token->tops)));
    } else if (const auto* end = std::get_if<SequenceEndEvent>(&event)) {
      samples[end->sequence_idx].push_back(fmt::format("end {}", static_cast<int>(end->reason)));
    } else {
      shared.push_back("over: " + std::get<RequestEndEvent>(event).status.ToString());
    }
  }

  Lines shared;                  // of the request
  std::map<int, Lines> samples;  // of each sequence
  std::map<int, std::vector<int32_t>> ids;
};

}  // namespace dray::engine
