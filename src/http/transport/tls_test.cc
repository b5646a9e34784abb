// A server inside TLS, and the files that it may be given.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <filesystem>
#include <fstream>

#include "http/testing/certificates.h"
#include "http/testing/server_fixture.h"
#include "http/testing/tls_client.h"
#include "http/transport/tls_context.h"

namespace dray::http {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHello = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";

class TlsTest : public HttpServerTest {
 protected:
  void StartTls() {
    auto tls = TlsContext::Load({});
    ASSERT_TRUE(tls.ok()) << tls.status().message();
    auto server = Server::Start(options_, {{.port = 0, .tls = *tls, .router = router_}});
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(server).value();
  }
};

TEST_F(TlsTest, AnswersInBothVersions) {
  StartTls();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(server_->port(), version);
    ASSERT_TRUE(client.connected());
    for (int i = 0; i < 3; ++i) {
      client.Send(kHello);
      EXPECT_EQ(client.ReceiveUntil("hello\n"),
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
                "Connection: keep-alive\r\n\r\nhello\n");
    }
  }
}

TEST_F(TlsTest, RefusesOldVersions) {
  StartTls();
  EXPECT_FALSE(TlsClient(server_->port(), TLS1_1_VERSION).connected());
  EXPECT_TRUE(TlsClient(server_->port(), TLS1_2_VERSION).connected());
}

TEST_F(TlsTest, CarriesBodiesOfManyRecordsBothWays) {
  StartTls();
  TlsClient client(server_->port(), TLS1_3_VERSION);
  std::string body(1'000'000, 'x');
  for (size_t i = 0; i < body.size(); i += 997) body[i] = static_cast<char>('a' + i % 26);
  ASSERT_TRUE(client.Send(PostRequest("/echo", body + "END")));
  const std::string answer = client.ReceiveUntil("END");
  EXPECT_EQ(answer.substr(answer.find("\r\n\r\n") + 4), body + "END");
}

TEST_F(TlsTest, StreamsArriveAsTheyAreWritten) {
  StartTls();
  TlsClient client(server_->port(), TLS1_3_VERSION);
  client.Send(PostRequest("/wait", ""));
  const ResponderPtr responder = Waiting();
  ASSERT_NE(responder, nullptr);
  responder->BeginStream({});
  responder->Write("one");
  EXPECT_NE(client.ReceiveUntil("one\r\n").find("\r\n\r\n3\r\none"), std::string::npos);
  responder->Write("two");
  EXPECT_EQ(client.ReceiveUntil("two\r\n"), "3\r\ntwo\r\n");
  responder->End();
  EXPECT_EQ(client.ReceiveUntil("0\r\n\r\n"), "0\r\n\r\n");
}

TEST_F(TlsTest, EndsInOrderAfterItsLastAnswer) {
  StartTls();
  TlsClient client(server_->port(), TLS1_3_VERSION);
  client.Send("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.ReceiveUntil("").ends_with("\r\n\r\nhello\n"));
  EXPECT_TRUE(client.ended_in_order());
}

TEST_F(TlsTest, PlainTextAndNoiseEndTheConnection) {
  // The noise is the beginning of a message whose rest never comes.
  options_.timeouts.header = milliseconds(200);
  StartTls();
  for (const std::string_view bytes : {kHello, std::string_view("\x16\x03\x01\x00\x05noise")}) {
    TestClient client(server_->port());
    client.Send(bytes);
    EXPECT_TRUE(client.WaitForClose());
  }
  EXPECT_TRUE(WaitFor([&] { return server_->stats().connections == 0; }));
}

TEST_F(TlsTest, AHandshakeThatDoesNotEndCountsAndIsCutOff) {
  options_.timeouts.header = milliseconds(200);
  StartTls();
  TestClient client(server_->port());
  ASSERT_TRUE(WaitFor([&] { return server_->stats().connections == 1; }));
  EXPECT_TRUE(client.WaitForClose());
  EXPECT_TRUE(WaitFor([&] { return server_->stats().connections == 0; }));
}

TEST_F(TlsTest, StopsWithConnectionsInEveryState) {
  StartTls();
  TestClient before_handshake(server_->port());
  TlsClient idle(server_->port(), TLS1_3_VERSION);
  TlsClient waiting(server_->port(), TLS1_3_VERSION);
  waiting.Send(PostRequest("/wait", ""));
  ASSERT_NE(Waiting(), nullptr);
  server_->Stop();
  EXPECT_NE(waiting.ReceiveUntil("").find("503 Service Unavailable"), std::string::npos);
  EXPECT_EQ(cancels_, 1);
}

class TlsFilesTest : public testing::Test {
 protected:
  TlsFilesTest() { fs::create_directories(folder_); }
  ~TlsFilesTest() override { fs::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return (folder_ / name).string();
  }
  static std::string ErrorOf(const TlsFiles& files) {
    const auto context = TlsContext::Load(files);
    return context.ok() ? "" : context.status().message();
  }
  TlsFiles Pem(const TestCertificate& certificate) const {
    return {.certificate_file = Write("cert.pem", certificate.certificate),
            .private_key_file = Write("key.pem", certificate.key)};
  }

  const fs::path folder_ =
      fs::path(testing::TempDir()) / ("tls_files_" + std::to_string(::getpid()));
  const TestCertificate valid_ = MakeTestCertificate(-60, 3600);
};

TEST_F(TlsFilesTest, PemFilesAreTaken) { EXPECT_EQ(ErrorOf(Pem(valid_)), ""); }

TEST_F(TlsFilesTest, AKeystoreIsTakenWithItsPassword) {
  TlsFiles files = {.keystore = (folder_ / "store.p12").string(), .password = "changeit"};
  WriteTestKeystore(valid_, "changeit", files.keystore);
  EXPECT_EQ(ErrorOf(files), "");
  files.password = "other";
  EXPECT_EQ(ErrorOf(files), "keystore " + files.keystore +
                                " cannot be opened with keystore_pass: mac verify failure");
  files.keystore = Write("store.jks", "\xfe\xed\xfe\xed");
  EXPECT_EQ(ErrorOf(files), "keystore " + files.keystore +
                                " is not in PKCS12 form; convert it with keytool -importkeystore "
                                "-deststoretype pkcs12");
}

TEST_F(TlsFilesTest, WrongFilesAreNamed) {
  TlsFiles files = Pem(valid_);
  files.private_key_file = Write("other.pem", MakeTestCertificate(-60, 3600).key);
  EXPECT_EQ(ErrorOf(files), "private_key_file " + files.private_key_file +
                                " is not the key of certificate_file " + files.certificate_file);
  files.private_key_file = (folder_ / "missing.pem").string();
  EXPECT_EQ(ErrorOf(files), "cannot read the private_key_file " + files.private_key_file +
                                ": No such file or directory");
  files.private_key_file = "";
  EXPECT_EQ(ErrorOf(files), "certificate_file and private_key_file belong together; set both");
  files = Pem(valid_);
  files.certificate_file = Write("empty.pem", "");
  EXPECT_NE(ErrorOf(files).find("holds no certificate in PEM form"), std::string::npos);
  files = Pem(valid_);
  files.keystore = "store.p12";
  EXPECT_NE(ErrorOf(files).find("remove one"), std::string::npos);
}

TEST_F(TlsFilesTest, CertificatesOutsideTheirTimeAreRefused) {
  EXPECT_NE(ErrorOf(Pem(MakeTestCertificate(-7200, -3600))).find(" expired at "),
            std::string::npos);
  EXPECT_NE(ErrorOf(Pem(MakeTestCertificate(3600, 7200))).find(" is not valid before "),
            std::string::npos);
}

}  // namespace
}  // namespace dray::http
