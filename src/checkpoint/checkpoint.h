// A directory of Hugging Face weight files, or a GGUF model, as one list of named tensors. The
// files are mapped and only their headers are read; whoever loads the weights decides which bytes
// to touch, and when to let go of them. Names mean nothing here: which tensors a model needs is for
// its caller to say.
//
// What is trusted and what is checked. A file's size when it is opened limits every range that is
// given out, so no tensor reaches beyond the mapped bytes. A file may be truncated, rewritten or
// replaced later; then wrong bytes are read, but without harm (see base/mapped_file.h). So code
// that has read tensors must call CheckUnchanged() before it uses them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "base/parse/json.h"
#include "base/status.h"
#include "checkpoint/split/split_tensor.h"
#include "checkpoint/tensor_source.h"
#include "checkpoint/weight_files.h"

namespace dray::checkpoint {

struct OpenOptions {
  // Refuse directories that hold their weights as torch .bin files only. (Those are read by a
  // restricted reader that runs no code, but an operator may want one format less to trust.)
  bool forbid_pickle = false;
  // The model's tensors, for files that hold slices. Not needed for the other formats.
  std::span<const SplitTensor> split = {};
};

class Checkpoint {
 public:
  // Finds the weights of a directory, or of a .gguf file (FindWeightFiles), maps the files and checks
  // their headers whole. kNotFound if there are none or a file is missing, kCorrupt or
  // kInvalidArgument naming the file and the tensor or field if one is unsound.
  static Result<Checkpoint> Open(const std::filesystem::path& path,
                                 const OpenOptions& options = {});

  Checkpoint(Checkpoint&&) noexcept = default;
  Checkpoint& operator=(Checkpoint&&) noexcept = default;

  // The tensor of that name; null if there is none, or if it is one of unreadable(). The pointer
  // lives as long as the checkpoint (moving it included).
  const TensorSource* Find(std::string_view name) const;
  // The same for tensors that the model cannot do without: kNotFound, or kUnsupported
  // with the reason.
  Result<const TensorSource*> Require(std::string_view name) const;
  // Whether any file, or the index, has a tensor of that name, readable or not: for
  // optional tensors ask this, then Require, so that one that dray cannot read is not
  // mistaken for an absent one.
  bool Contains(std::string_view name) const;

  // Sorted by name.
  std::span<const TensorSource> tensors() const { return tensors_; }
  std::span<const UnreadableTensor> unreadable() const { return unreadable_; }

  // The weight files in the order of their names, without the index.
  std::vector<std::filesystem::path> files() const;
  // The same for a message: the path of the only one, or of the first and how many more there are.
  std::string DescribeFiles() const;
  // Their sizes together.
  uint64_t total_bytes() const;
  std::string_view format() const { return Name(format_); }
  // What a GGUF model says of itself beside its tensors (gguf.h); null for the other formats.
  const Json& metadata() const { return metadata_; }

  // kCorrupt, naming the file, if one of the files has been replaced, resized or written to since
  // Open, or bytes of it could not be read.
  Status CheckUnchanged() const;

 private:
  Checkpoint() = default;
  static Result<Checkpoint> OpenFiles(const std::filesystem::path& path, const WeightFiles& weights,
                                      const OpenOptions& options);
  Result<const MappedFile*> MapFile(const std::filesystem::path& path);
  // Maps the file and appends what it holds to the tensors.
  Status OpenFile(const std::filesystem::path& path);
  Status OpenTensorFiles(const WeightFiles& weights);
  Status OpenRanks(const WeightFiles& weights, std::span<const SplitTensor> split);
  Status OpenRawSlices(const FasterTransformerFolder& folder, std::span<const SplitTensor> split);
  Status SortAndCheckNames();
  Status CheckAgainstIndex(const WeightFiles& weights);
  Result<FileContent> ReadContent(const MappedFile& file);

  FileFormat format_ = FileFormat::kSafetensors;
  Json metadata_;
  std::vector<std::unique_ptr<MappedFile>> files_;  // tensors point to them
  std::vector<TensorSource> tensors_;
  std::vector<UnreadableTensor> unreadable_;
};

// The metadata alone of a GGUF file, or of the GGUF model in a directory.
Result<Json> ReadMetadata(const std::filesystem::path& path);

}  // namespace dray::checkpoint
