#include "base/testing/source_dir.h"

namespace dray {

std::filesystem::path SourceDir() { return DRAY_SOURCE_DIR; }

}  // namespace dray
