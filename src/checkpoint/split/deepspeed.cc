#include "checkpoint/split/deepspeed.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "checkpoint/torch/torch_state_dict.h"
#include "checkpoint/untrusted_json.h"

namespace dray::checkpoint {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;
constexpr int64_t kMaxSlices = 1024;
constexpr std::array<std::string_view, 3> kTypes = {"bloom", "BLOOM", "ds_model"};

class ConfigReader {
 public:
  ConfigReader(std::string path, const Json& json) : path_(std::move(path)), json_(json) {}

  Result<DeepSpeedCheckpoint> Read();

 private:
  Status Refuse(std::string_view field, std::string_view what) const {
    return {StatusCode::kCorrupt, fmt::format("{}: \"{}\" {}", path_, field, what)};
  }

  Status ReadType() const;
  Status ReadParallelization();
  Status ReadNumSlices(size_t num_files);
  Result<std::vector<std::string>> ReadNames(const Json* list, std::string_view field);
  Status AddSlices(const Json* list, std::string_view field);

  const std::string path_;
  const Json& json_;
  DeepSpeedCheckpoint result_;
  std::set<std::string> names_;
};

Status ConfigReader::ReadType() const {
  const Json* type = json_.Find("type");
  const std::string* text = type == nullptr ? nullptr : type->AsString();
  if (text == nullptr) return Refuse("type", "is missing or not a string");
  if (std::find(kTypes.begin(), kTypes.end(), *text) != kTypes.end()) return OkStatus();
  return {StatusCode::kUnsupported,
          fmt::format("{}: \"type\" is {}; dray reads BLOOM and ds_model", path_, Quoted(*text))};
}

Status ConfigReader::ReadParallelization() {
  const Json* value = json_.Find("parallelization");
  if (value == nullptr) return OkStatus();
  const std::string* text = value->AsString();
  if (text == nullptr || (*text != "tp" && *text != "pp")) {
    return Refuse("parallelization", "is neither \"tp\" nor \"pp\"");
  }
  result_.is_sliced = *text == "tp";
  return OkStatus();
}

Result<std::vector<std::string>> ConfigReader::ReadNames(const Json* list, std::string_view field) {
  const Json::Array* array = list == nullptr ? nullptr : list->AsArray();
  if (array == nullptr) return Refuse(field, "is missing or not a list of files");
  std::vector<std::string> names;
  for (const Json& item : *array) {
    const std::string* text = item.AsString();
    const std::string name =
        text == nullptr ? std::string() : std::filesystem::path(*text).filename().string();
    if (!IsPlainFileName(name)) {
      return Refuse(field, fmt::format("names {}, which is not a file",
                                       text == nullptr ? item.KindName() : Quoted(*text)));
    }
    if (!names_.insert(name).second) {
      return Refuse(field, fmt::format("names {} twice", Quoted(name)));
    }
    names.push_back(name);
  }
  return names;
}

// "mp_size" goes over "tp_size", as in DeepSpeed; without either there is one file for each rank.
Status ConfigReader::ReadNumSlices(size_t num_files) {
  int64_t slices = static_cast<int64_t>(num_files);
  std::string_view field = "checkpoints";
  for (const std::string_view key : {"tp_size", "mp_size"}) {
    const Json* value = json_.Find(key);
    if (value == nullptr) continue;
    field = key;
    slices = value->AsInt64().value_or(0);
  }
  if (slices < 1 || slices > kMaxSlices) {
    return Refuse(field, fmt::format("makes {} ranks, not 1 to {}", slices, kMaxSlices));
  }
  if (num_files == 0 || static_cast<int64_t>(num_files) % slices != 0) {
    return Refuse("checkpoints", fmt::format("has {} files of slices, which {} ranks cannot share",
                                             num_files, slices));
  }
  result_.num_slices = slices;
  return OkStatus();
}

// The first files of all ranks, then the second ones, and so on.
Status ConfigReader::AddSlices(const Json* list, std::string_view field) {
  DRAY_ASSIGN_OR_RETURN(const auto names, ReadNames(list, field));
  DRAY_RETURN_IF_ERROR(ReadNumSlices(names.size()));
  for (size_t i = 0; i < names.size(); ++i) {
    result_.files.push_back({names[i], static_cast<int64_t>(i) % result_.num_slices});
  }
  return OkStatus();
}

Result<DeepSpeedCheckpoint> ConfigReader::Read() {
  DRAY_RETURN_IF_ERROR(ReadType());
  DRAY_RETURN_IF_ERROR(ReadParallelization());
  const Json* checkpoints = json_.Find("checkpoints");
  if (checkpoints == nullptr) return Refuse("checkpoints", "is missing");
  if (checkpoints->is_object()) {
    result_.is_sliced = true;
    DRAY_RETURN_IF_ERROR(AddSlices(checkpoints->Find("tp"), "checkpoints.tp"));
    const Json* whole = checkpoints->Find("non_tp");
    if (whole == nullptr) return std::move(result_);
    DRAY_ASSIGN_OR_RETURN(const auto names, ReadNames(whole, "checkpoints.non_tp"));
    for (const std::string& name : names) result_.files.push_back({name, 0});
    return std::move(result_);
  }
  if (result_.is_sliced) {
    DRAY_RETURN_IF_ERROR(AddSlices(checkpoints, "checkpoints"));
    return std::move(result_);
  }
  DRAY_ASSIGN_OR_RETURN(const auto names, ReadNames(checkpoints, "checkpoints"));
  if (names.empty()) return Refuse("checkpoints", "names no file");
  for (const std::string& name : names) result_.files.push_back({name, 0});
  return std::move(result_);
}

using Slices = std::map<int64_t, TensorSource>;  // by rank

// Integers are stored as [rows, columns], unlike floats.
Result<TensorSource> JoinWanted(SplitTensor wanted, const Slices& slices, int64_t num_slices) {
  const TensorSource& first = slices.begin()->second;
  if (first.dtype == DType::kI8) wanted.storage = Storage::kAsIs;
  const auto whole = wanted.StoredShape(1);
  const bool is_whole = whole.ok() && first.shape == *whole;
  if (wanted.axis == SliceAxis::kNone || is_whole || num_slices == 1) {
    return JoinSlices(wanted, {&first, 1});
  }
  std::vector<TensorSource> in_order;
  for (int64_t rank = 0; rank < num_slices; ++rank) {
    const auto slice = slices.find(rank);
    if (slice == slices.end()) {
      return Status(StatusCode::kNotFound,
                    fmt::format("{}: tensor {} is a slice of {}, but the files of rank {} do not "
                                "have theirs",
                                first.file->path().string(), Quoted(first.name), num_slices, rank));
    }
    in_order.push_back(slice->second);
  }
  return JoinSlices(wanted, in_order);
}

// DeepSpeed saves a scale with tensors that it has not quantized too, which means nothing.
bool IsScaleOfFloats(std::string_view name, const std::map<std::string, Slices>& by_name) {
  if (!name.ends_with(kScaleSuffix)) return false;
  name.remove_suffix(kScaleSuffix.size());
  const auto scaled = by_name.find(std::string(name));
  return scaled != by_name.end() && scaled->second.begin()->second.dtype != DType::kI8;
}

}  // namespace

Result<DeepSpeedCheckpoint> ReadDeepSpeedConfig(const std::filesystem::path& path) {
  DRAY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  DRAY_ASSIGN_OR_RETURN(const Json json, ParseUntrustedJson(text, path.string()));
  return ConfigReader(path.string(), json).Read();
}

Result<std::vector<TensorSource>> JoinRanks(std::vector<RankTensor> tensors, int64_t num_slices,
                                            std::span<const SplitTensor> wanted) {
  std::map<std::string, Slices> by_name;
  for (RankTensor& tensor : tensors) {
    std::string name = tensor.source.name;
    const auto [it, is_new] = by_name[name].try_emplace(tensor.rank, std::move(tensor.source));
    if (is_new) continue;
    return Status(
        StatusCode::kCorrupt,
        fmt::format("{}: tensor {} of rank {} is in {} too", tensor.source.file->path().string(),
                    Quoted(name), tensor.rank, it->second.file->path().string()));
  }
  std::map<std::string_view, const SplitTensor*> wanted_of;
  for (const SplitTensor& tensor : wanted) wanted_of.emplace(tensor.name, &tensor);
  std::vector<TensorSource> whole;
  for (const auto& [name, slices] : by_name) {
    if (IsScaleOfFloats(name, by_name)) continue;
    const auto known = wanted_of.find(name);
    if (known == wanted_of.end()) {
      whole.push_back(slices.begin()->second);
      continue;
    }
    DRAY_ASSIGN_OR_RETURN(TensorSource joined, JoinWanted(*known->second, slices, num_slices));
    whole.push_back(std::move(joined));
  }
  return whole;
}

}  // namespace dray::checkpoint
