// Guesses from a second, smaller model of the same vocabulary.
//
// The draft model's token is chosen by the request's sampler, with the same random draw but the
// draft model's logits. The nearer the two models' distributions are, the more often both choose
// the same token. A greedy guess would be right less often, except for greedy requests, where it is
// the same.
//
// The draft model has a ModelRunner of its own, whose cache has the same blocks as the model's: a
// sequence's block table is valid for both. The draft model computes prompts, and all other
// stretches of several tokens, when the model does, so that a fork finds its parent's prompt in
// both caches. Single tokens are computed when guesses are wanted again.
#pragma once

#include <memory>

#include "engine/runner/make_runner.h"
#include "engine/speculation/drafter.h"

namespace dray::engine {

// `draft` must outlive the drafter, and must have the model's vocabulary. `cost_of_guess` is what
// Drafter::CostOfGuess returns. `make_runner` makes the runner of `draft`.
std::unique_ptr<Drafter> MakeModelDrafter(LoadedModel& draft, double cost_of_guess,
                                          RunnerMaker make_runner = MakeRunner);

}  // namespace dray::engine
