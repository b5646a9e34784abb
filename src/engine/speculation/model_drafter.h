// Guesses from a second, smaller model of the same vocabulary.
//
// It chooses as the request's sampler would, with the same random draw but its own logits: the
// nearer the two models' distributions, the more often the choice is the same. A greedy guess would
// agree less, save where the request is greedy, where the two are one.
//
// Its keys and values lie in a cache of its own, block by block beside the model's: a sequence's
// block table counts for both. Prompts, and whatever else is read in stretches, it reads in the
// same step as the model, so that a fork finds its parent's prompt here, too. Single tokens it
// leaves until guesses are wanted again.
#pragma once

#include <memory>

#include "engine/speculation/drafter.h"

namespace dray::engine {

// `draft` must outlive the drafter; its vocabulary is the model's.
// `cost_of_guess`: see Drafter::CostOfGuess.
std::unique_ptr<Drafter> MakeModelDrafter(LoadedModel& draft, double cost_of_guess);

}  // namespace dray::engine
