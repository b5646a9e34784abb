// Bodies of type text/csv, as DJLServing's handlers read them: the first row names the columns, and each row after it has
// one input in the column "inputs". Cells may be quoted (RFC 4180).
#pragma once

#include <string_view>

#include "base/parse/json.h"
#include "base/status.h"

namespace dray::api {

// The body {"inputs": [...]} that such a body stands for. kInvalidArgument if it has no column "inputs", a row without
// that column, an open quotation mark, or more than kMaxInputs rows.
Result<Json> ReadCsvBody(std::string_view csv);

}  // namespace dray::api
