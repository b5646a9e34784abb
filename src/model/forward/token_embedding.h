// The beginning of a forward pass: tokens become rows of the residual stream. The ranks of a group
// divide the token table.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/forward/layer_stack.h"

namespace dray::model {

// The tokens of a step, in host memory.
struct TokenInputs {
  std::span<const int32_t> ids;  // [num_tokens]
  std::span<const int32_t>
      positions;  // [num_tokens], from 0; -1: the row before the first position
  // [num_tokens]: rows of the table of token types. Empty if the model has no such table.
  std::span<const int32_t> types = {};
};

class TokenEmbedding {
 public:
  // Allocates all working memory, for steps of at most `max_tokens` tokens.
  static Result<std::unique_ptr<TokenEmbedding>> Make(const ForwardParts& parts,
                                                      int64_t max_tokens);

  // Writes the tokens' rows into `x`, [max_tokens, hidden]: from the token table, with the rows of
  // their positions and types added, normalised if the model does that.
  Status Run(const TokenInputs& tokens, const Tensor& x);

 private:
  TokenEmbedding(const ForwardParts& parts, int64_t max_tokens);
  Status Allocate();
  Status Upload(const TokenInputs& tokens);
  // Writes the tokens' rows of the table, which may lie at different ranks, into `out`.
  Status ReadTable(const kernels::Activations& out);
  // Adds rows of a table that every rank has.
  void AddRows(Slot table, const int32_t* rows, const Tensor& x);

  const ModelConfig& model_config_;
  const StackConfig& config_;
  const Weights& weights_;
  const Weights& tables_;  // with the token table
  kernels::Memory& memory_;
  kernels::Ops& ops_;
  parallel::Communicator* communicator_;  // may be null
  parallel::Rank rank_;
  int64_t vocab_rows_;  // of the token table at each rank, padding included
  int64_t max_tokens_;

  Tensor embedded_;  // [max_tokens, embed_dim], only with a projection in
  Tensor index_memory_;
  // Device arrays of a step, [max_tokens] each.
  int32_t* ids_ = nullptr;     // rows of this rank's token table; -1: the row is another rank's
  int32_t* no_ids_ = nullptr;  // always -1
  int32_t* positions_ = nullptr;
  int32_t* types_ = nullptr;

  std::vector<int32_t> table_rows_, position_rows_;  // for uploads
  int64_t num_tokens_ = 0;                           // of the step
};

}  // namespace dray::model
