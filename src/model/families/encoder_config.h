// What the readers of encoder families share: the choices that all of them make alike, and the head
// that sorts texts into classes.
#pragma once

#include "base/status.h"
#include "model/config/config_reader.h"
#include "model/config/model_config.h"

namespace dray::model {

// Fills what is the same in every encoder of BERT's line: each token attends to all tokens, norms
// follow the residual sums, positions are learned, and every projection has a bias. Expects the
// sizes of the stack.
void SetBertLine(ModelConfig& config);

// Fills `classifier` if "architectures" names a head that sorts texts into classes; `activation` is
// the one between its two matrices. Refuses other heads that answer something else than vectors.
Status ReadClassifier(ConfigReader& reader, Activation activation, ModelConfig& config);

// A condition of WeightRow::present.
bool HasClassifier(const ModelConfig& config);

}  // namespace dray::model
