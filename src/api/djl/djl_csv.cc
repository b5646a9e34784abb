#include "api/djl/djl_csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "api/djl/djl_body.h"

namespace dray::api {
namespace {

// Takes cell after cell.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : rest_(text) {}

  bool AtEnd() const { return rest_.empty(); }
  // Takes an empty line, which is no row; false if none is next.
  bool TakeEmptyLine() {
    const size_t size = LineEndSize();
    rest_.remove_prefix(size);
    return size > 0;
  }

  struct Cell {
    std::string value;
    bool ends_row = false;
  };
  Result<Cell> Take() {
    Cell cell;
    if (rest_.starts_with('"')) DRAY_RETURN_IF_ERROR(TakeQuoted(cell.value));
    const size_t end = std::min(rest_.find_first_of(",\r\n"), rest_.size());
    cell.value += rest_.substr(0, end);
    rest_.remove_prefix(end);
    cell.ends_row = !rest_.starts_with(',');
    rest_.remove_prefix(cell.ends_row ? LineEndSize() : 1);
    return cell;
  }

 private:
  size_t LineEndSize() const {
    if (rest_.starts_with("\r\n")) return 2;
    return rest_.starts_with('\r') || rest_.starts_with('\n') ? 1 : 0;
  }

  // Two quotation marks stand for one.
  Status TakeQuoted(std::string& value) {
    while (true) {
      rest_.remove_prefix(1);
      const size_t end = rest_.find('"');
      if (end == std::string_view::npos) {
        return InvalidBody("a quoted cell of the CSV body does not end with a quotation mark");
      }
      value += rest_.substr(0, end);
      rest_.remove_prefix(end + 1);
      if (!rest_.starts_with('"')) return OkStatus();
      value += '"';
    }
  }

  std::string_view rest_;
};

// The index of the column "inputs" in the first row, which is taken. Nothing if there is no such column.
Result<std::optional<size_t>> FindInputsColumn(CsvReader& reader) {
  std::optional<size_t> found;
  CsvReader::Cell cell;
  for (size_t i = 0; !reader.AtEnd() && !cell.ends_row; ++i) {
    DRAY_ASSIGN_OR_RETURN(cell, reader.Take());
    if (cell.value == "inputs" && !found) found = i;
  }
  return found;
}

// The cell of a column in the next row, which is taken. Nothing if the row ends before it.
Result<std::optional<std::string>> TakeFromRow(CsvReader& reader, size_t column) {
  std::optional<std::string> value;
  CsvReader::Cell cell;
  for (size_t i = 0; !cell.ends_row; ++i) {
    DRAY_ASSIGN_OR_RETURN(cell, reader.Take());
    if (i == column) value = std::move(cell.value);
  }
  return value;
}

}  // namespace

Result<Json> ReadCsvBody(std::string_view csv) {
  CsvReader reader(csv);
  DRAY_ASSIGN_OR_RETURN(const auto column, FindInputsColumn(reader));
  if (!column) {
    return InvalidBody("the first row of a CSV body must name a column \"inputs\"");
  }
  Json inputs = Json::MakeArray();
  size_t count = 0;
  while (!reader.AtEnd()) {
    if (reader.TakeEmptyLine()) continue;
    if (++count > kMaxInputs) {
      return InvalidBody(fmt::format(
          "the CSV body has more than {} rows below the names of its columns", kMaxInputs));
    }
    DRAY_ASSIGN_OR_RETURN(auto value, TakeFromRow(reader, *column));
    if (!value) {
      return InvalidBody(
          fmt::format("row {} of the CSV body ends before the column \"inputs\"", count));
    }
    inputs.Append(Json(*std::move(value)));
  }
  Json body = Json::MakeObject();
  body.Set("inputs", std::move(inputs));
  return body;
}

}  // namespace dray::api
