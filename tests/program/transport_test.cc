// `dray serve` on every kind of address, asked by curl: TLS 1.2 and 1.3, a Unix socket, an address of its own
// for management; and API keys, which never appear in the log.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "testing/process.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

const std::string kDray = DRAY_PROGRAM;
constexpr const char* kPing = "{\n  \"demo\": {\n    \"status\": \"Healthy\"\n  }\n}\n";

// A demo server; its addresses are read from its log.
class Server {
 public:
  explicit Server(const std::vector<std::string>& arguments) : process_(Command(arguments)) {
    const auto line = process_.ReadUntil("serving demo on ");
    EXPECT_TRUE(line) << process_.output();
    if (line) address_ = line->substr(line->rfind(' ') + 1);
  }

  const std::string& address() const { return address_; }
  const std::string& output() const { return process_.output(); }
  int Stop() {
    process_.Signal(SIGTERM);
    return process_.Wait();
  }

 private:
  static std::vector<std::string> Command(const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {
        "/usr/bin/env", "SERVING_API_KEY=opensesame", kDray, "serve", "demo", "--threads", "1"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
  }
  Process process_;
  std::string address_;
};

std::string Curl(std::vector<std::string> arguments) {
  std::vector<std::string> command = {"/usr/bin/curl", "-sS", "--max-time", "60"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const ProcessResult result = RunProcess(command);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  return result.output;
}

TEST(TransportTest, ServesCurlOverTls) {
  Server server({"--inference-address", "https://127.0.0.1:0"});
  for (const char* version : {"1.2", "1.3"}) {
    EXPECT_EQ(Curl({"-k", fmt::format("--tlsv{}", version), "--tls-max", version, "-w",
                    "%{http_version} %{http_code}", server.address() + "/ping"}),
              std::string(kPing) + "1.1 200");
  }
  const std::string answer =
      Curl({"-k", "-H", "x-api-key: opensesame", "-H", "Content-Type: application/json", "-d",
            R"({"inputs": "The cat", "parameters": {"max_new_tokens": 2}})",
            server.address() + "/invocations"});
  EXPECT_EQ(answer.rfind("{\"generated_text\":", 0), 0U) << answer;
  EXPECT_EQ(server.Stop(), 0);
}

TEST(TransportTest, KeysAreAskedForAndNeverLogged) {
  Server server({"--port", "0"});
  const std::string answer = Curl({"-i", "-d", "{}", server.address() + "/invocations"});
  EXPECT_EQ(answer.rfind("HTTP/1.1 401 Unauthorized\r\n", 0), 0U) << answer;
  EXPECT_NE(answer.find("\r\nWWW-Authenticate: Bearer\r\n"), std::string::npos) << answer;
  EXPECT_NE(answer.find("\"type\": \"UnauthorizedException\""), std::string::npos) << answer;
  EXPECT_EQ(server.Stop(), 0);
  EXPECT_EQ(server.output().find("opensesame"), std::string::npos) << server.output();
}

TEST(TransportTest, ServesAUnixSocket) {
  const fs::path folder = fs::path(::testing::TempDir()) / fmt::format("socket_{}", ::getpid());
  fs::create_directories(folder);
  const std::string path = (folder / "dray.sock").string();
  Server server({"--inference-address", "unix:" + path});
  EXPECT_EQ(server.address(), "unix:" + path);
  EXPECT_EQ(Curl({"--unix-socket", path, "http://localhost/ping"}), kPing);
  EXPECT_EQ(server.Stop(), 0);
  EXPECT_FALSE(fs::exists(path));
  fs::remove_all(folder);
}

TEST(TransportTest, ManagementMayHaveAnAddressOfItsOwn) {
  const fs::path folder = fs::path(::testing::TempDir()) / fmt::format("management_{}", ::getpid());
  fs::create_directories(folder);
  const std::string path = (folder / "management.sock").string();
  Server server({"--port", "0", "--management-address", "unix:" + path});
  EXPECT_NE(server.output().find("listening on unix:" + path), std::string::npos);
  // Inference is not answered there.
  EXPECT_EQ(Curl({"--unix-socket", path, "-o", "/dev/null", "-w", "%{http_code}", "-H",
                  "x-api-key: opensesame", "-d", "{}", "http://localhost/invocations"}),
            "404");
  EXPECT_EQ(server.Stop(), 0);
  fs::remove_all(folder);
}

TEST(TransportTest, EveryAnswerHasTheCommonHeaders) {
  Server server({"--port", "0", "--cors-allowed-origin", "https://example.org",
                 "--cors-allowed-methods", "GET, POST", "--cors-allowed-headers", "X-A"});
  const std::string common =
      "x-request-id: 7\r\nPragma: no-cache\r\n"
      "Cache-Control: no-cache; no-store, must-revalidate, private\r\n"
      "Expires: Thu, 01 Jan 1970 00:00:00 UTC\r\n"
      "Access-Control-Allow-Origin: https://example.org\r\n"
      "Access-Control-Allow-Methods: GET, POST\r\nAccess-Control-Allow-Headers: X-A\r\n";
  const auto ask = [&](const char* method, const char* path) {
    return Curl({"-i", "-X", method, "-H", "x-request-id: 7", "-H", "x-api-key: opensesame",
                 server.address() + path});
  };
  EXPECT_EQ(ask("GET", "/ping"), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + common +
                                     "Content-Length: 44\r\nConnection: keep-alive\r\n\r\n" +
                                     kPing);
  EXPECT_EQ(ask("OPTIONS", "/"), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + common +
                                     "Content-Length: 3\r\nConnection: keep-alive\r\n\r\n{}\n");
  EXPECT_EQ(ask("GET", "/nowhere"),
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n" + common +
                "Content-Length: 136\r\nConnection: close\r\n\r\n"
                "{\n  \"code\": 404,\n  \"type\": \"ResourceNotFoundException\",\n"
                "  \"message\": \"Requested resource is not found, please refer to API "
                "document.\"\n}\n");
  EXPECT_EQ(ask("PATCH", "/models"),
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: application/json\r\n"
            "Allow: POST, GET\r\n" +
                common +
                "Content-Length: 136\r\nConnection: close\r\n\r\n"
                "{\n  \"code\": 405,\n  \"type\": \"MethodNotAllowedException\",\n"
                "  \"message\": \"Requested method is not allowed, please refer to API "
                "document.\"\n}\n");
  EXPECT_EQ(server.Stop(), 0);
}

TEST(TransportTest, ALargeBodyIsRefusedInTheWordsOfItsApi) {
  Server server({"--port", "0", "--max-request-size", "100"});
  const auto send = [&](const char* path) {
    return Curl({"-i", "-H", "x-api-key: opensesame", "-H", "Content-Type: application/json", "-d",
                 std::string(101, ' '), server.address() + path});
  };
  const std::string message = "the body is 101 bytes; at most 100 are accepted";
  for (const char* path :
       {"/endpoints/demo/invocations", "/endpoints/demo/invocations-response-stream"}) {
    const std::string answer = send(path);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 Request Entity Too Large\r\n")) << answer;
    EXPECT_NE(answer.find("\r\nx-amzn-ErrorType: ValidationError\r\n"), std::string::npos)
        << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\n{\"Message\":\"" + message + "\"}")) << answer;
  }
  const std::string answer = send("/invocations");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 Request Entity Too Large\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\"type\": \"BadRequestException\",\n  \"message\": \"" + message +
                               "\"\n}\n"))
      << answer;
  EXPECT_EQ(server.Stop(), 0);
}

TEST(TransportTest, AMissingCertificateIsNamed) {
  const ProcessResult result =
      RunProcess({kDray, "serve", "demo", "--inference-address", "https://127.0.0.1:0",
                  "--certificate-file", "/missing.pem", "--private-key-file", "/missing.pem"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.errors.find("cannot read the certificate_file /missing.pem: No such file"),
            std::string::npos)
      << result.errors;
}

}  // namespace
}  // namespace dray::testing
