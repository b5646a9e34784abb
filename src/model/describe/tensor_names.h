// Under which names a checkpoint may hold what a row of a family's table wants. Shared by those who
// plan a load and those who ask what is there.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/describe/model_description.h"
#include "model/families/family_spec.h"

namespace dray::model {

// The names that the row's tensor may have, most usual first. Of a tied pair, token table and head,
// some files keep the head alone, so its names stand for the table's as well.
std::vector<std::string> CandidateNames(const ModelDescription& model, const WeightRow& row,
                                        int64_t layer);

// The first of the names that the checkpoint holds, readable ones before others, or null.
const std::string* FindName(const std::vector<std::string>& names,
                            const checkpoint::Checkpoint& checkpoint);

// The row that fills `slot` whole, whether or not the model has it; null if there is none.
const WeightRow* FindRow(const ModelDescription& model, Slot slot);

}  // namespace dray::model
