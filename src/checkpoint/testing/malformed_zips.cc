// The ZIP cases of malformed_files.h: sound pickles in archives that lie.
#include <fmt/format.h>

#include "checkpoint/testing/malformed_builders.h"
#include "checkpoint/testing/malformed_files.h"

namespace dray::checkpoint {
namespace {

using Cases = std::vector<MalformedCase>;

// A sound archive with `change` made to it.
template <typename Change>
void Add(Cases& cases, const std::string& name, const std::string& expected, const Change& change) {
  ZipSpec spec = SoundTorchZip();
  change(spec);
  cases.push_back({"zip_" + name, spec.Bytes(), expected});
}

void AddTruncations(Cases& cases) {
  const std::string whole = SoundTorchZip().Bytes();
  for (size_t size = 4; size<whole.size(); size += size> whole.size() - 120 ? 3 : 37) {
    cases.push_back({fmt::format("zip_truncated_to_{}", size), whole.substr(0, size), "ZIP:"});
  }
  for (const size_t size : {1, 2, 3}) {
    cases.push_back({fmt::format("zip_truncated_to_{}", size), whole.substr(0, size),
                     "torch.save did not write it"});
  }
}

void AddEntryHeaders(Cases& cases) {
  for (int bit = 0; bit < 16; ++bit) {
    if (bit == 3 || bit == 11) continue;
    Add(cases, fmt::format("flag_bit_{}", bit), "entry \"m/data/0\": general purpose flags",
        [&](ZipSpec& spec) { spec.Entry("data/0").flags |= static_cast<uint16_t>(1 << bit); });
  }
  for (const int method : {1, 6, 8, 9, 12, 14, 93, 95, 99, 0xFFFF}) {
    Add(cases, fmt::format("method_{}", method), "entry \"m/data.pkl\": compression method",
        [&](ZipSpec& spec) { spec.Entry("data.pkl").method = static_cast<uint16_t>(method); });
  }
  const std::string expected = "entry \"m/data/0\"";
  const auto add = [&](const char* name, const auto& change) {
    Add(cases, name, expected, [&](ZipSpec& spec) { change(spec.Entry("data/0")); });
  };
  add("local_name", [](ZipEntrySpec& e) { e.local.name = "m/data/1"; });
  add("local_name_longer", [](ZipEntrySpec& e) { e.local.name = "m/data/0 "; });
  add("local_flags", [](ZipEntrySpec& e) { e.local.flags = 0x0800; });
  add("local_encrypted", [](ZipEntrySpec& e) { e.local.flags = 0x0809; });
  add("local_method", [](ZipEntrySpec& e) { e.local.method = 8; });
  add("local_crc", [](ZipEntrySpec& e) { e.local.crc32 = 1; });
  add("local_size", [](ZipEntrySpec& e) { e.local.size = 25; });
  add("local_compressed", [](ZipEntrySpec& e) { e.local.compressed = 23; });
  add("local_signature", [](ZipEntrySpec& e) { e.local.signature = 0x04034B51; });
  add("central_size", [](ZipEntrySpec& e) { e.central.size = 23; });
  add("central_both_sizes_less",
      [](ZipEntrySpec& e) { e.central.size = e.central.compressed = 20; });
  add("central_both_sizes_more",
      [](ZipEntrySpec& e) { e.central.size = e.central.compressed = 30; });
  add("central_size_0", [](ZipEntrySpec& e) { e.central.size = e.central.compressed = 0; });
  add("central_size_huge",
      [](ZipEntrySpec& e) { e.central.size = e.central.compressed = 0xFFFFFFFE; });
  add("central_size_64_absent",
      [](ZipEntrySpec& e) { e.central.size = e.central.compressed = 0xFFFFFFFF; });
  add("central_compressed", [](ZipEntrySpec& e) { e.central.compressed = 12; });
  add("central_crc", [](ZipEntrySpec& e) { e.central.crc32 = 7; });
  add("central_disk", [](ZipEntrySpec& e) { e.central.disk = 1; });
  add("central_comment", [](ZipEntrySpec& e) { e.central.comment = "hidden"; });
  add("central_offset_0", [](ZipEntrySpec& e) { e.central.offset = 0; });
  add("descriptor_missing", [](ZipEntrySpec& e) { e.descriptor = ""; });
  add("descriptor_crc", [](ZipEntrySpec& e) {
    e.descriptor = LittleEndian(0x08074B50, 4) + LittleEndian(1, 4) + LittleEndian(24, 4) +
                   LittleEndian(24, 4);
  });
  add("descriptor_cut", [](ZipEntrySpec& e) { e.descriptor = LittleEndian(0x08074B50, 4); });
  add("descriptor_without_signature",
      [](ZipEntrySpec& e) { e.descriptor = std::string(12, '\0'); });
  Add(cases, "central_offset_huge", "leaving a gap",
      [](ZipSpec& spec) { spec.Entry("data/0").central.offset = 0xFFFFFFF0; });
  Add(cases, "central_name", "entry \"m/data/1\"",
      [](ZipSpec& spec) { spec.Entry("data/0").central.name = "m/data/1"; });
  Add(cases, "central_signature", "central directory",
      [](ZipSpec& spec) { spec.Entry("data/0").central.signature = 1; });
  Add(cases, "no_descriptor_flag_but_zero_sizes", "entry \"m/data/0\"", [](ZipSpec& spec) {
    ZipEntrySpec& entry = spec.Entry("data/0");
    entry.flags = 0;
    entry.local.size = entry.local.compressed = 0;
  });
}

void AddWideFields(Cases& cases) {
  const std::string wide =
      LittleEndian(1, 2) + LittleEndian(16, 2) + LittleEndian(24, 8) + LittleEndian(24, 8);
  const auto add = [&](const char* name, const std::string& extra) {
    Add(cases, name, "ZIP", [&](ZipSpec& spec) {
      ZipEntrySpec& entry = spec.Entry("data/0");
      entry.central.size = entry.central.compressed = 0xFFFFFFFF;
      entry.central.extra = extra;
    });
  };
  add("zip64_field_twice", wide + wide);
  add("zip64_field_cut", wide.substr(0, 12));
  add("zip64_field_short", LittleEndian(1, 2) + LittleEndian(8, 2) + LittleEndian(24, 8));
  add("zip64_size_huge",
      LittleEndian(1, 2) + LittleEndian(16, 2) + LittleEndian(~0ull, 8) + LittleEndian(~0ull, 8));
  add("zip64_size_wraps", LittleEndian(1, 2) + LittleEndian(16, 2) + LittleEndian(~0ull - 100, 8) +
                              LittleEndian(~0ull - 100, 8));
  add("zip64_sizes_differ",
      LittleEndian(1, 2) + LittleEndian(16, 2) + LittleEndian(24, 8) + LittleEndian(25, 8));
  add("extra_cut", std::string("\x01"));
  add("extra_goes_beyond", LittleEndian(0x4246, 2) + LittleEndian(100, 2));
  Add(cases, "zip64_offset_huge", "ZIP", [&](ZipSpec& spec) {
    ZipEntrySpec& entry = spec.Entry("data/0");
    entry.central.offset = 0xFFFFFFFF;
    entry.central.extra = LittleEndian(1, 2) + LittleEndian(8, 2) + LittleEndian(~0ull - 16, 8);
  });
}

void AddLayout(Cases& cases) {
  Add(cases, "prefix", "leaving a gap",
      [](ZipSpec& spec) { spec.prefix = "PK\x03\x04" + std::string(60, '\0'); });
  Add(cases, "suffix", "end record", [](ZipSpec& spec) { spec.suffix = "x"; });
  Add(cases, "second_archive", "ZIP", [](ZipSpec& spec) { spec.suffix = SoundTorchZip().Bytes(); });
  Add(cases, "comment", "end record", [](ZipSpec& spec) { spec.end.comment = "x"; });
  Add(cases, "gap", "leaving a gap",
      [](ZipSpec& spec) { spec.Entry("data.pkl").gap = std::string(16, '\0'); });
  Add(cases, "gap_before_directory", "ZIP", [](ZipSpec& spec) { spec.before_directory = "x"; });
  Add(cases, "gap_after_directory", "ZIP64", [](ZipSpec& spec) { spec.after_directory = "x"; });
  Add(cases, "gap_after_directory_narrow", "central directory", [](ZipSpec& spec) {
    spec.after_directory = "x";
    spec.zip64 = false;
  });
  Add(cases, "hidden_entry", "leaving a gap", [](ZipSpec& spec) {
    ZipSpec other = SoundTorchZip();
    spec.Entry("byteorder").gap = other.Bytes().substr(0, 200);
  });
  Add(cases, "duplicate_entry", "entry \"m/data/0\" stands twice",
      [](ZipSpec& spec) { spec.entries.push_back(spec.Entry("data/0")); });
  Add(cases, "duplicate_pickle", "entry \"m/data.pkl\" stands twice",
      [](ZipSpec& spec) { spec.entries.push_back(spec.Entry("data.pkl")); });
  Add(cases, "same_bytes_twice", "overlapping", [](ZipSpec& spec) {
    ZipEntrySpec twin = spec.Entry("data.pkl");
    twin.central.name = "m/data/1";
    twin.central.offset = 0;
    spec.entries.push_back(twin);
  });
  Add(cases, "no_entries", "ZIP", [](ZipSpec& spec) {
    spec.entries.clear();
    spec.prefix = "PK\x03\x04";
  });
}

void AddEndRecords(Cases& cases) {
  const auto add = [&](const char* name, const char* expected, const auto& change) {
    Add(cases, name, expected, change);
  };
  add("end_signature", "end record", [](ZipSpec& s) { s.end.signature = 0; });
  add("end_disk", "several disks", [](ZipSpec& s) { s.end.disk = 1; });
  add("end_directory_disk", "several disks", [](ZipSpec& s) { s.end.directory_disk = 1; });
  add("end_disk_entries", "several disks", [](ZipSpec& s) { s.end.disk_entries = 3; });
  add("end_entries_less", "disagree", [](ZipSpec& s) { s.end.entries = 3; });
  add("end_size", "disagree", [](ZipSpec& s) { s.end.size = 7; });
  add("end_offset", "disagree", [](ZipSpec& s) { s.end.offset = 7; });
  add("zip64_end_signature", "ZIP64", [](ZipSpec& s) { s.end64.signature = 0; });
  add("zip64_end_record_bytes", "ZIP64", [](ZipSpec& s) { s.end64.record_bytes = 45; });
  add("zip64_end_record_huge", "ZIP64", [](ZipSpec& s) { s.end64.record_bytes = ~0ull; });
  add("zip64_end_disk", "several disks", [](ZipSpec& s) { s.end64.disk = 1; });
  add("zip64_end_disk_entries", "several disks", [](ZipSpec& s) { s.end64.disk_entries = 1; });
  add("zip64_locator_disk", "several disks", [](ZipSpec& s) { s.end64.locator_disk = 1; });
  add("zip64_locator_disks", "several disks", [](ZipSpec& s) { s.end64.locator_disks = 2; });
  add("zip64_locator_offset", "ZIP64", [](ZipSpec& s) { s.end64.locator_offset = 0; });
  add("zip64_locator_beyond", "ZIP64", [](ZipSpec& s) { s.end64.locator_offset = ~0ull; });
  add("zip64_disagrees", "disagree", [](ZipSpec& s) { s.end64.offset = 0; });
  // The narrow record says "see the wide one", and that one lies.
  const auto wide = [&](const char* name, const char* expected, const auto& change) {
    Add(cases, name, expected, [&](ZipSpec& s) {
      s.end.size = s.end.offset = 0xFFFFFFFF;
      s.end.entries = 0xFFFF;
      change(s.end64);
    });
  };
  wide("zip64_offset_beyond", "central directory", [](ZipSpec::Zip64End& e) { e.offset = ~0ull; });
  wide("zip64_size_overflows", "central directory",
       [](ZipSpec::Zip64End& e) { e.size = ~0ull - 2; });
  wide("zip64_size_off_by_one", "central directory", [](ZipSpec::Zip64End& e) { e.size = 1; });
  wide("zip64_entries_more", "counts", [](ZipSpec::Zip64End& e) { e.entries = 5; });
  wide("zip64_entries_huge", "counts", [](ZipSpec::Zip64End& e) { e.entries = ~0ull; });
  add("narrow_saturated_without_zip64", "central directory", [](ZipSpec& s) {
    s.zip64 = false;
    s.end.offset = 0xFFFFFFFF;
  });
  add("narrow_entries_more", "counts", [](ZipSpec& s) {
    s.zip64 = false;
    s.end.entries = 5;
  });
  add("narrow_offset", "central directory", [](ZipSpec& s) {
    s.zip64 = false;
    s.end.offset = 1;
  });
}

void AddContents(Cases& cases) {
  const auto add = [&](const char* name, const char* expected, const auto& change) {
    Add(cases, name, expected, change);
  };
  const auto rename = [](ZipSpec& s, const char* from, const char* to) { s.Entry(from).name = to; };
  add("no_pickle", "m/data.pkl", [&](ZipSpec& s) { rename(s, "data.pkl", "m/data.pkL"); });
  add("no_version", "m/version", [&](ZipSpec& s) { rename(s, "version", "m/versions"); });
  add("no_storage", "m/data/0", [&](ZipSpec& s) { rename(s, "data/0", "m/data/1"); });
  add("other_folder", "n/data/0", [&](ZipSpec& s) { rename(s, "data/0", "n/data/0"); });
  add("no_folder", "data.pkl", [](ZipSpec& s) {
    for (ZipEntrySpec& entry : s.entries) entry.name = entry.name.substr(2);
  });
  add("name_empty", "control characters", [&](ZipSpec& s) { rename(s, "data/0", ""); });
  add("name_nul", "control characters",
      [](ZipSpec& s) { s.Entry("data/0").name = std::string("m/data/0\0", 9); });
  add("name_newline", "control characters", [&](ZipSpec& s) { rename(s, "data/0", "m/data/0\n"); });
  for (const char* version :
       {"", "0", "11", "-1", "x", "3x", "3\n\n", " 3", "99999999999999999999"}) {
    add(fmt::format("version_{}", cases.size()).c_str(), "m/version",
        [&](ZipSpec& s) { s.Entry("version").data = version; });
  }
  for (const char* order : {"big", "", "Little", "little\n", "middle"}) {
    add(fmt::format("byteorder_{}", cases.size()).c_str(), "byte order",
        [&](ZipSpec& s) { s.Entry("byteorder").data = order; });
  }
  add("pickle_crc", "m/data.pkl", [](ZipSpec& s) { s.Entry("data.pkl").crc32 = 0x12345678; });
  add("pickle_bit_flip", "CRC", [](ZipSpec& s) {
    const std::string sound = s.Bytes();
    ZipEntrySpec& pickle = s.Entry("data.pkl");
    const uint32_t crc = static_cast<uint32_t>(static_cast<unsigned char>(sound[0]));
    pickle.crc32 = crc;
  });
  add("pickle_empty", "data.pkl", [](ZipSpec& s) { s.Entry("data.pkl").data.clear(); });
  for (const size_t size : {0, 1, 20, 23, 25, 48}) {
    add(fmt::format("storage_of_{}_bytes", size).c_str(), "m/data/0",
        [&](ZipSpec& s) { s.Entry("data/0").data.resize(size); });
  }
}

}  // namespace

std::vector<MalformedCase> MalformedZips() {
  Cases cases;
  AddTruncations(cases);
  AddEntryHeaders(cases);
  AddWideFields(cases);
  AddLayout(cases);
  AddEndRecords(cases);
  AddContents(cases);
  return cases;
}

}  // namespace dray::checkpoint
