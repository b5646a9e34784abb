// Marks that downloads leave in a folder until they are finished.
#pragma once

#include <filesystem>

#include "base/status.h"

namespace dray::checkpoint {

// The path of such a mark in the model's folder; empty if there is none. Known are the files of
// huggingface_hub (".incomplete", also those in .cache/huggingface/download), of the AWS command line
// (a name with a dot and eight hexadecimal digits behind it), of browsers, wget, aria2 and rsync.
// Marks that a broken download has left count too, so ask only if something is wrong with the folder.
std::filesystem::path FindUnfinishedDownload(const std::filesystem::path& dir);

// `status`; if it is an error and a download into the folder is not finished, also says that.
Status ExplainByDownload(const Status& status, const std::filesystem::path& dir);

}  // namespace dray::checkpoint
