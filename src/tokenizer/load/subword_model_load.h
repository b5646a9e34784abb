// Reads the `model` of tokenizer.json.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tokenizer/json_node.h"
#include "tokenizer/models/bpe.h"
#include "tokenizer/models/subword_model.h"

namespace dray::tokenizer {

// `long_pieces`: whether the pre-tokenizer may leave texts whole (see BpeOptions).
Result<std::unique_ptr<const SubwordModel>> LoadSubwordModel(const JsonNode& node,
                                                             bool long_pieces);

// The type of a `model`, which files older than the field `type` show by their fields.
std::string SubwordModelType(const Json& model);

// A vocabulary from {"token": id, ...}.
Result<Vocab> LoadVocabObject(const JsonNode& node);

// Merges from lines "left right", as in merges.txt: lines that begin with "#version" do not count.
// The views point into `lines`.
Result<std::vector<BpeModel::MergePair>> ParseMergeLines(
    const std::vector<std::string_view>& lines);

}  // namespace dray::tokenizer
