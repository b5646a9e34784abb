// A model folder's tokenizer as serving's TextCodec.
#pragma once

#include <memory>

#include "serving/text_codec.h"
#include "tokenizer/tokenizer.h"

namespace dray::serving {

std::unique_ptr<TextCodec> MakeTokenizerCodec(std::unique_ptr<tokenizer::Tokenizer> tokenizer);

}  // namespace dray::serving
