#include "checkpoint/split/faster_transformer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/parse/parse_number.h"
#include "checkpoint/tensor_source.h"

namespace dray::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxIniBytes = 1 << 20;
constexpr int64_t kMaxSlices = 1024;

constexpr std::array kFormats = {
    std::pair<std::string_view, DType>{"fp32", DType::kF32},
    std::pair<std::string_view, DType>{"fp16", DType::kF16},
    std::pair<std::string_view, DType>{"bf16", DType::kBF16},
};

constexpr std::array<std::string_view, 3> kSections = {"gpt", "gptj", "gptneox"};

// The number of ranks in the name "<ranks>-gpu"; nothing for another name.
std::optional<int64_t> RanksOfName(const std::string& name) {
  constexpr std::string_view kEnding = "-gpu";
  if (!name.ends_with(kEnding)) return std::nullopt;
  const auto ranks = ParseInt64(std::string_view(name).substr(0, name.size() - kEnding.size()));
  return ranks && *ranks >= 1 && *ranks <= kMaxSlices ? ranks : std::nullopt;
}

// The folder itself, or the one in it with the fewest slices; empty if there is none.
fs::path Locate(const fs::path& dir) {
  if (HasEntry(dir / "config.ini")) return dir;
  int64_t fewest = kMaxSlices + 1;
  fs::path found;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const auto ranks = RanksOfName(it->path().filename().string());
    std::error_code unreadable;
    if (!ranks || *ranks >= fewest || !it->is_directory(unreadable)) continue;
    fewest = *ranks;
    found = it->path();
  }
  return found;
}

Result<DType> ReadFormat(const FasterTransformerFolder& folder) {
  const auto value = folder.values.find("weight_data_type");
  if (value == folder.values.end()) return DType::kF32;
  const auto format = std::find_if(kFormats.begin(), kFormats.end(),
                                   [&](const auto& known) { return known.first == value->second; });
  if (format != kFormats.end()) return format->second;
  return Status(StatusCode::kUnsupported,
                fmt::format("{}: weight_data_type = {}: dray reads fp32, fp16 and bf16",
                            folder.config_path().string(), Quoted(value->second)));
}

Status ReadConfig(FasterTransformerFolder& folder) {
  const std::string path = folder.config_path().string();
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(folder.config_path(), kMaxIniBytes));
  DRAY_ASSIGN_OR_RETURN(IniFile ini, ParseIni(text, path));
  for (const std::string_view section : kSections) {
    const auto it = ini.find(std::string(section));
    if (it == ini.end()) continue;
    folder.section = section;
    folder.values = std::move(it->second);
    DRAY_ASSIGN_OR_RETURN(folder.dtype, ReadFormat(folder));
    return OkStatus();
  }
  const std::string_view others =
      ini.contains("encoder") ? "an encoder and a decoder" : "a model that dray does not know";
  return {StatusCode::kUnsupported,
          fmt::format("{}: it describes {}: dray reads FasterTransformer folders with a section "
                      "[gpt], [gptj] or [gptneox]; serve the Hugging Face checkpoint that this one "
                      "was converted from",
                      path, others)};
}

// The files whose names begin with "model." and end with ".bin".
Status ListFiles(FasterTransformerFolder& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder.path, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with("model.") && name.ends_with(".bin")) folder.files.push_back(it->path());
  }
  if (error) {
    return {StatusCode::kIo, fmt::format("{}: cannot list the directory: {}", folder.path.string(),
                                         error.message())};
  }
  std::sort(folder.files.begin(), folder.files.end());
  return OkStatus();
}

bool HasFile(const FasterTransformerFolder& folder, const fs::path& file) {
  return std::binary_search(folder.files.begin(), folder.files.end(), file);
}

fs::path SlicePath(const FasterTransformerFolder& folder, const std::string& tensor, int64_t rank) {
  return folder.path / fmt::format("model.{}.{}.bin", tensor, rank);
}

// The ranks for which there are slices of a tensor that every model has.
Status CountSlices(FasterTransformerFolder& folder) {
  const std::string tensor = "layers.0.attention.query_key_value.weight";
  int64_t count = 0;
  while (count < kMaxSlices && HasFile(folder, SlicePath(folder, tensor, count))) ++count;
  if (count == 0) {
    return {StatusCode::kNotFound,
            fmt::format("{}: it is missing, though config.ini is there; convert the model again",
                        SlicePath(folder, tensor, 0).string())};
  }
  folder.num_slices = count;
  if (const auto named = RanksOfName(folder.path.filename().string()); named && *named != count) {
    return {StatusCode::kNotFound,
            fmt::format("{}: the folder's name says that there are {} slices, but {} is missing; "
                        "convert the model again",
                        folder.path.string(), *named,
                        SlicePath(folder, tensor, count).filename().string())};
  }
  return folder.CheckSize("tensor_para_size", count);
}

}  // namespace

Status FasterTransformerFolder::CheckSize(const std::string& key, int64_t expected) const {
  const auto value = values.find(key);
  if (value == values.end() || ParseInt64(value->second) == expected) return OkStatus();
  return {StatusCode::kInvalidArgument,
          fmt::format("{}: {} = {}, but it should be {}: the folder's files and config.json do not "
                      "belong together",
                      config_path().string(), key, Quoted(value->second), expected)};
}

Result<std::optional<FasterTransformerFolder>> FindFasterTransformer(const fs::path& dir) {
  FasterTransformerFolder folder;
  folder.path = Locate(dir);
  if (folder.path.empty()) return std::optional<FasterTransformerFolder>();
  DRAY_RETURN_IF_ERROR(ReadConfig(folder));
  DRAY_RETURN_IF_ERROR(ListFiles(folder));
  DRAY_RETURN_IF_ERROR(CountSlices(folder));
  return std::optional(std::move(folder));
}

Result<std::vector<fs::path>> FilesOf(const FasterTransformerFolder& folder,
                                      const SplitTensor& tensor) {
  std::vector<fs::path> files;
  if (tensor.axis == SliceAxis::kNone) {
    const fs::path file = folder.path / fmt::format("model.{}.bin", tensor.name);
    if (HasFile(folder, file)) files.push_back(file);
    return files;
  }
  for (int64_t rank = 0; rank < folder.num_slices; ++rank) {
    const fs::path file = SlicePath(folder, tensor.name, rank);
    if (HasFile(folder, file)) {
      files.push_back(file);
    } else if (rank > 0) {
      return Status(StatusCode::kNotFound,
                    fmt::format("{}: it is missing: of {} slices there are {}; convert the model "
                                "again, or restore the file",
                                file.string(), folder.num_slices, rank));
    } else {
      break;
    }
  }
  return files;
}

Result<TensorSource> RawSlice(const FasterTransformerFolder& folder, const SplitTensor& tensor,
                              const MappedFile& file) {
  auto shape = tensor.StoredShape(tensor.axis == SliceAxis::kNone ? 1 : folder.num_slices);
  if (!shape.ok()) return shape.status().WithPrefix(file.path().string());
  const std::optional<int64_t> elements = shape->CheckedElements();
  const size_t size = file.bytes().size(), element = SizeOf(folder.dtype);
  if (!elements || size / element != static_cast<size_t>(*elements) || size % element != 0) {
    return Status(StatusCode::kInvalidArgument,
                  fmt::format("{}: it has {} bytes, but {} of {} takes {}: check that config.ini's "
                              "weight_data_type and config.json belong to it",
                              file.path().string(), size, shape->ToString(), Name(folder.dtype),
                              elements.value_or(0) * static_cast<int64_t>(element)));
  }
  return TensorSource{.name = tensor.name,
                      .dtype = folder.dtype,
                      .shape = *shape,
                      .strides = DenseStrides(*shape),
                      .data = file.bytes().data(),
                      .file = &file};
}

}  // namespace dray::checkpoint
