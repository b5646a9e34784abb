#include "serving/reasons.h"

#include <fmt/format.h>

namespace dray::serving {
namespace {

Status Invalid(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

Status Unavailable(std::string message) { return {StatusCode::kUnavailable, std::move(message)}; }

std::string_view NameOf(ModelState state) {
  switch (state) {
    case ModelState::kPending:
      return "waiting to be loaded";
    case ModelState::kLoading:
      return "being loaded";
    case ModelState::kReady:
      return "ready";
    case ModelState::kFailed:
      return "out of order";
    case ModelState::kUnloading:
      break;
  }
  return "being unloaded";
}

struct Wording {
  sampling::SpellParam spell;

  Status operator()(const Status& status) const { return status; }
  Status operator()(const ModelUnknown& r) const {
    const std::string version =
        r.version.empty() ? "" : fmt::format(" of version \"{}\"", r.version);
    return {StatusCode::kNotFound, fmt::format("there is no model \"{}\"{}", r.name, version)};
  }
  Status operator()(const ModelNotReady& r) const {
    return Unavailable(fmt::format("model \"{}\" is {}; try again later", r.name, NameOf(r.state)));
  }
  Status operator()(const ModelExists& r) const {
    return Invalid(
        fmt::format("there is already a model \"{}\" of version \"{}\"; unregister it "
                    "first, or give another version",
                    r.name, r.version));
  }
  Status operator()(const ModelDraining& r) const {
    return Unavailable(fmt::format("model \"{}\" is shutting down", r.name));
  }
  Status operator()(const NoWorkers& r) const {
    return Unavailable(fmt::format("model \"{}\" has no workers; raise max_worker", r.model));
  }
  Status operator()(const QueueFull& r) const {
    return Unavailable(fmt::format("model \"{}\" has {} requests, its limit; try again later",
                                   r.model, r.max_requests));
  }
  Status operator()(const PromptEmpty&) const {
    return Invalid("the prompt has no tokens; send some text");
  }
  Status operator()(const PromptTooLarge& r) const {
    return Invalid(
        fmt::format("the prompt has {} bytes; no more than {} can fit into this model's context of "
                    "{} tokens; shorten it",
                    r.bytes, r.max_bytes, r.context_tokens));
  }
  Status operator()(const PromptTooLong& r) const {
    return Invalid(fmt::format(
        "the prompt has {} tokens; this model's context holds {} tokens, prompt and new "
        "ones together; shorten the prompt, or set {}",
        r.prompt_tokens, r.context_tokens, spell("truncate")));
  }
  Status operator()(const NewTokensTooMany& r) const {
    return Invalid(
        fmt::format("the prompt has {} tokens and {} asks for {} more; this model's context holds "
                    "{} together; ask for at most {}",
                    r.prompt_tokens, spell("max_new_tokens"), r.max_new_tokens, r.context_tokens,
                    r.context_tokens - r.prompt_tokens));
  }
  Status operator()(const MaxLengthTooShort& r) const {
    const auto before =
        r.are_of_prompt
            ? fmt::format("the prompt alone has {} tokens", r.tokens_before)
            : fmt::format(
                  "it counts the token that this model begins an answer with, so it must be "
                  "{} or more",
                  r.tokens_before + 1);
    return Invalid(fmt::format("parameter {} is {}, but {}; raise it, or set {}",
                               spell("max_length"), r.max_length, before, spell("max_new_tokens")));
  }
  Status operator()(const TextTooLong& r) const {
    return Invalid(
        fmt::format("a text has {} tokens; this model takes at most {}; shorten it, or "
                    "set {}",
                    r.tokens, r.max_tokens, spell("truncate")));
  }
  Status operator()(const TimedOut& r) const {
    return {StatusCode::kDeadlineExceeded, fmt::format("no token came for {} ms", r.limit.count())};
  }
  Status operator()(const sampling::ParamProblem& problem) const {
    return Invalid(sampling::Describe(problem, spell));
  }
};

}  // namespace

Status ToStatus(const Reason& reason, sampling::SpellParam spell) {
  return std::visit(Wording{spell}, reason);
}

}  // namespace dray::serving
