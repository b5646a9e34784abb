// The shape of a decoder that dray runs, by its family's table of weights. Its ranks' shares are
// those that the loader would fill.
#pragma once

#include <memory>

#include "model/describe/model_description.h"
#include "plan/shape/model_shape.h"
#include "plan/shape/stored_forms.h"

namespace dray::plan {

std::unique_ptr<ModelShape> MakeDecoderShape(model::ModelDescription description);
// With the forms in which the model's files store its matrices.
std::unique_ptr<ModelShape> MakeDecoderShape(std::unique_ptr<StoredForms> stored);

}  // namespace dray::plan
