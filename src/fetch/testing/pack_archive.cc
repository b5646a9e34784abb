#include "fetch/testing/pack_archive.h"

#include <archive.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace dray::fetch {

void PackArchive(const std::filesystem::path& archive, const std::vector<PackedEntry>& entries) {
  const std::string name = archive.string();
  struct archive* writer = archive_write_new();
  if (name.ends_with("zip") || name.ends_with("mar")) {
    archive_write_set_format_zip(writer);
  } else {
    archive_write_set_format_pax_restricted(writer);
    if (name.ends_with("gz")) archive_write_add_filter_gzip(writer);
    if (name.ends_with(".z")) archive_write_add_filter_compress(writer);
  }
  EXPECT_EQ(archive_write_open_filename(writer, name.c_str()), ARCHIVE_OK);
  for (const PackedEntry& entry : entries) {
    archive_entry* header = archive_entry_new();
    archive_entry_set_pathname(header, entry.name.c_str());
    archive_entry_set_filetype(header, entry.type);
    archive_entry_set_perm(header, 0777);
    const auto text_bytes = static_cast<la_int64_t>(entry.text.size());
    archive_entry_set_size(header, text_bytes + entry.hole_bytes);
    if (entry.hole_bytes > 0) archive_entry_sparse_add_entry(header, 0, text_bytes);
    if (entry.type == AE_IFLNK) archive_entry_set_symlink(header, entry.link.c_str());
    if (entry.type == AE_IFREG && !entry.link.empty()) {
      archive_entry_set_hardlink(header, entry.link.c_str());
    }
    EXPECT_EQ(archive_write_header(writer, header), ARCHIVE_OK) << entry.name;
    archive_write_data(writer, entry.text.data(), entry.text.size());
    archive_entry_free(header);
  }
  archive_write_close(writer);
  archive_write_free(writer);
}

std::vector<PackedEntry> EntriesOf(const std::filesystem::path& folder, const std::string& prefix) {
  std::vector<PackedEntry> entries;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    entries.push_back({.name = prefix + entry.path().filename().string(), .text = text.str()});
  }
  return entries;
}

}  // namespace dray::fetch
