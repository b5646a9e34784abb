// The names that a checkpoint may use for a row of a family's table. Planning a load and looking
// for tensors both need them.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/describe/model_description.h"
#include "model/families/family_spec.h"

namespace dray::model {

// The names that the row's tensor may have, the most usual first. If the head is tied to the token
// table, some files have only the head, so the head's names are also tried for the table.
std::vector<std::string> CandidateNames(const ModelDescription& model, const WeightRow& row,
                                        int64_t layer);

// The first of the names that the checkpoint has, or null. Tensors that can be read come before
// others.
const std::string* FindName(const std::vector<std::string>& names,
                            const checkpoint::Checkpoint& checkpoint);

// The row that fills all of `slot`, whether or not this model has it; null if there is no such row.
const WeightRow* FindRow(const ModelDescription& model, Slot slot);

}  // namespace dray::model
