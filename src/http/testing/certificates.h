// For tests: certificates in the states that an operator's files may be in.
#pragma once

#include <string>

namespace dray::http {

struct TestCertificate {
  // PEM.
  std::string certificate;
  std::string key;
};

// A self-signed certificate for "localhost", valid from now + `begin_s` to now + `end_s` seconds.
TestCertificate MakeTestCertificate(long begin_s, long end_s);
// Writes both as a PKCS #12 file.
void WriteTestKeystore(const TestCertificate& certificate, const std::string& password,
                       const std::string& path);

}  // namespace dray::http
