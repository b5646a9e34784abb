// `dray top` against real servers: the report for scripts, and the live view on a terminal.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "http/testing/certificates.h"
#include "testing/demo_process.h"
#include "testing/http_client.h"
#include "testing/process.h"
#include "testing/terminal_process.h"

namespace dray::testing {
namespace {

constexpr const char* kGenerate =
    R"({"inputs": "The cat", "parameters": {"max_new_tokens": 4, "ignore_eos_token": true}})";
constexpr int kMostTries = 200;

std::string UrlOf(const DemoProcess& server) {
  return fmt::format("http://127.0.0.1:{}", server.port());
}

ProcessResult ReportOnce(const DemoProcess& server, const std::string& interval) {
  return RunProcess({DRAY_PROGRAM, "top", UrlOf(server), "--once", "--interval", interval});
}

// The report's lines "  key value". Its headings are keys, too.
std::map<std::string, std::string> ValuesOf(const std::string& report) {
  std::map<std::string, std::string> values;
  std::istringstream lines(report);
  for (std::string line; std::getline(lines, line);) {
    std::string key;
    std::string value;
    std::istringstream(line) >> key >> value;
    values[key] = value;
  }
  return values;
}

TEST(TopOnceTest, ReportsWhatTheServerDid) {
  DemoProcess server({});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Post(server.port(), "/invocations", kGenerate));
  ASSERT_EQ(Post(server.port(), "/invocations", "{}")->status, 400);
  std::map<std::string, std::string> values;
  // The engine publishes a step's numbers after its answers.
  for (int i = 0; i < kMostTries && values["generated_tokens"] != "12"; ++i) {
    const ProcessResult top = ReportOnce(server, "0.1");
    ASSERT_EQ(top.exit_code, 0) << top.errors;
    values = ValuesOf(top.output);
  }
  const std::map<std::string, std::string> expected = {
      {"server", UrlOf(server)},  {"model", "demo"},
      {"state", "Healthy"},       {"ready_workers", "1"},
      {"max_workers", "1"},       {"queued", "0"},
      {"generated_tokens", "12"}, {"reached_length", "3"},
      {"stopped", "0"},           {"failed", "0"},
      {"answers_4xx", "1"},       {"answers_5xx", "0"},
      {"running", "0"},           {"waiting", "0"},
      {"cache_used_blocks", "0"}, {"generated_token_rate", "0"},
  };
  for (const auto& [key, value] : expected) EXPECT_EQ(values[key], value) << key;
  EXPECT_GT(std::atof(values["resident_bytes"].c_str()), 1e6);
  EXPECT_GE(std::atoi(values["processors"].c_str()), 1);
  EXPECT_GT(std::atof(values["time_to_first_token_p50"].c_str()), 0);
  EXPECT_EQ(server.Stop(), 0);
}

TEST(TopOnceTest, ShowsRatesUnderLoad) {
  DemoProcess server({});
  std::atomic<bool> ends = false;
  std::thread load([&] {
    while (!ends) Post(server.port(), "/invocations", kGenerate);
  });
  std::map<std::string, std::string> values;
  const auto number = [&](const char* key) { return std::atof(values[key].c_str()); };
  for (int i = 0; i < kMostTries && !(number("generated_token_rate") > 0); ++i) {
    const ProcessResult top = ReportOnce(server, "0.5");
    EXPECT_EQ(top.exit_code, 0) << top.errors;
    values = ValuesOf(top.output);
  }
  ends = true;
  load.join();
  EXPECT_GT(number("generated_token_rate"), 0);
  EXPECT_GT(number("prompt_token_rate"), 0);
  EXPECT_GT(number("answers_2xx_rate"), 0);
  EXPECT_GT(number("busy_processors"), 0);
  EXPECT_EQ(number("batch"), 1);
  EXPECT_GT(number("time_per_token_p50"), 0);
  EXPECT_GE(number("time_per_token_p95"), number("time_per_token_p50"));
}

TEST(TopOnceTest, SaysWhatIsWrong) {
  const auto errors_of = [](const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {DRAY_PROGRAM, "top"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const ProcessResult top = RunProcess(command);
    EXPECT_EQ(top.exit_code, 1);
    EXPECT_EQ(top.output, "");
    return top.errors;
  };
  // Nothing listens on the first port, which only root may take.
  EXPECT_EQ(errors_of({"127.0.0.1:1", "--once"}),
            "dray top: http://127.0.0.1:1: /metrics: cannot connect: Connection refused\n");
  EXPECT_NE(errors_of({"ftp://h", "--once"}).find("is no address of a server"), std::string::npos);
  EXPECT_NE(errors_of({"h:1", "--header", "x"}).find("header x: it must be NAME: VALUE"),
            std::string::npos);
  EXPECT_EQ(errors_of({"127.0.0.1:1"}),
            "dray top: standard output is no terminal; --once prints one report anywhere\n");
  EXPECT_NE(errors_of({"--api-key-file", "/dev/null"}).find("/dev/null"), std::string::npos);

  DemoProcess silent({"--prometheus", "false"});
  EXPECT_NE(errors_of({UrlOf(silent), "--once"}).find("/metrics: HTTP 400: "), std::string::npos);
  DemoProcess managed_elsewhere({"--management-address", "http://127.0.0.2:0"});
  EXPECT_NE(errors_of({UrlOf(managed_elsewhere), "--once"})
                .find("; name the server's management address"),
            std::string::npos);
}

TEST(TopOnceTest, ShowsAKey) {
  const std::string file = std::string(std::getenv("TEST_TMPDIR")) + "/top_keys";
  std::ofstream(file) << "s3cret\n";
  DemoProcess server({"--management-api-key-file", file});
  const ProcessResult without = ReportOnce(server, "0.1");
  EXPECT_EQ(without.exit_code, 1);
  EXPECT_NE(without.errors.find("/metrics: HTTP 401"), std::string::npos) << without.errors;
  EXPECT_NE(without.errors.find("--api-key-file or DRAY_API_KEY"), std::string::npos);
  const std::vector<std::string> top = {DRAY_PROGRAM, "top",        UrlOf(server),
                                        "--once",     "--interval", "0.1"};
  std::vector<std::string> by_file = top;
  by_file.insert(by_file.end(), {"--api-key-file", file});
  std::vector<std::string> by_header = top;
  by_header.insert(by_header.end(), {"--header", "x-api-key: s3cret"});
  std::vector<std::string> by_variable = {"/usr/bin/env", "DRAY_API_KEY=s3cret"};
  by_variable.insert(by_variable.end(), top.begin(), top.end());
  for (const auto& command : {by_file, by_header, by_variable}) {
    const ProcessResult shown = RunProcess(command);
    EXPECT_EQ(shown.exit_code, 0) << shown.errors;
    EXPECT_NE(shown.output.find("\nmodel demo\n  state Healthy\n"), std::string::npos);
  }
}

// A server with the certificate of "localhost", which it has signed itself.
TEST(TopOnceTest, AsksByHttps) {
  const std::string folder = std::getenv("TEST_TMPDIR");
  const http::TestCertificate certificate = http::MakeTestCertificate(-60, 3600);
  std::ofstream(folder + "/top_certificate.pem") << certificate.certificate;
  std::ofstream(folder + "/top_key.pem") << certificate.key;
  DemoProcess server({"--inference-address", "https://127.0.0.1:0", "--certificate-file",
                      folder + "/top_certificate.pem", "--private-key-file",
                      folder + "/top_key.pem"});
  const auto ask = [&](const char* host, const std::vector<std::string>& trust) {
    std::vector<std::string> command = {
        DRAY_PROGRAM, "top",        fmt::format("https://{}:{}", host, server.port()),
        "--once",     "--interval", "0.1"};
    command.insert(command.end(), trust.begin(), trust.end());
    return RunProcess(command);
  };
  const std::vector<std::string> known = {"--ca", folder + "/top_certificate.pem"};
  const ProcessResult trusted = ask("localhost", known);
  EXPECT_EQ(trusted.exit_code, 0) << trusted.errors;
  EXPECT_EQ(ValuesOf(trusted.output)["server"], fmt::format("https://localhost:{}", server.port()));
  EXPECT_EQ(ValuesOf(trusted.output)["state"], "Healthy");
  EXPECT_EQ(ask("127.0.0.1", {"--insecure"}).exit_code, 0);

  const ProcessResult unknown = ask("localhost", {});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_NE(unknown.errors.find("the server's certificate is not trusted: self-signed certificate; "
                                "name the certificate of its authority by --ca"),
            std::string::npos)
      << unknown.errors;
  // The certificate is not for the address.
  const ProcessResult other_name = ask("127.0.0.1", known);
  EXPECT_EQ(other_name.exit_code, 1);
  EXPECT_NE(other_name.errors.find("is not trusted: IP address mismatch"), std::string::npos)
      << other_name.errors;
  EXPECT_NE(ask("localhost", {"--ca", folder + "/top_key.pem"})
                .errors.find("/top_key.pem holds no certificate"),
            std::string::npos);
  EXPECT_NE(ask("localhost", {"--ca", "/missing.pem"}).errors.find("/missing.pem"),
            std::string::npos);
  EXPECT_NE(ask("localhost", {"--ca", "/dev/null", "-k"}).errors.find("give one of them"),
            std::string::npos);
  EXPECT_EQ(server.Stop(), 0);
}

TerminalProcess StartTop(const DemoProcess& server) {
  return TerminalProcess({DRAY_PROGRAM, "top", UrlOf(server)},
                         {"TERM=xterm", "NO_COLOR=1", "LC_ALL=C.UTF-8"});
}

// The process has given the terminal back as it was.
void ExpectRestored(const TerminalProcess& top) {
  EXPECT_TRUE(top.IsAsForAShell());
  EXPECT_TRUE(top.output().ends_with("\x1b[?25h\x1b[?1049l")) << top.output();
}

TEST(TopLiveTest, KeysAndSizes) {
  DemoProcess server({});
  TerminalProcess top = StartTop(server);
  ASSERT_TRUE(top.ReadUntil(">demo            Healthy       1/1")) << top.output();
  EXPECT_FALSE(top.IsAsForAShell());
  top.Type("p");
  EXPECT_TRUE(top.ReadUntil("faster, slower: paused"));
  top.Type("p+");
  EXPECT_TRUE(top.ReadUntil("faster, slower: 0.5 s"));
  top.Type("--");
  EXPECT_TRUE(top.ReadUntil("faster, slower: 2 s"));
  top.Resize(130, 30);
  EXPECT_TRUE(top.ReadUntil("FIRST TOKEN p95  PER TOKEN p95"));
  ASSERT_TRUE(Post(server.port(), "/models?url=models/demo&model_name=second", ""));
  EXPECT_TRUE(top.ReadUntil(" second                            Healthy"));
  top.Type("\x1b[B");
  EXPECT_TRUE(top.ReadUntil(">second "));
  top.Type("k");
  EXPECT_TRUE(top.ReadUntil(">demo "));
  top.Type("q");
  EXPECT_EQ(top.Wait(), 0);
  ExpectRestored(top);
}

TEST(TopLiveTest, SignalsRestoreTheTerminal) {
  DemoProcess server({});
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    TerminalProcess top = StartTop(server);
    ASSERT_TRUE(top.ReadUntil("Healthy")) << top.output();
    // Ctrl-C comes as a character of the terminal.
    signal == SIGINT ? top.Type("\x03") : static_cast<void>(::kill(top.pid(), signal));
    EXPECT_EQ(top.Wait(), 0);
    ExpectRestored(top);
  }
}

TEST(TopLiveTest, CanBeSuspended) {
  DemoProcess server({});
  TerminalProcess top = StartTop(server);
  ASSERT_TRUE(top.ReadUntil("Healthy")) << top.output();
  top.Type("\x1a");
  ASSERT_TRUE(top.ReadUntil("\x1b[?25h\x1b[?1049l"));
  top.WaitUntilStopped();
  EXPECT_TRUE(top.IsAsForAShell());
  ::kill(top.pid(), SIGCONT);
  EXPECT_TRUE(top.ReadUntil("\x1b[?1049h"));
  EXPECT_TRUE(top.ReadUntil("Healthy"));
  top.Type("q");
  EXPECT_EQ(top.Wait(), 0);
  ExpectRestored(top);
}

TEST(TopLiveTest, SaysThatTheServerIsGoneAndTriesAgain) {
  DemoProcess server({});
  TerminalProcess top = StartTop(server);
  ASSERT_TRUE(top.ReadUntil("Healthy")) << top.output();
  server.Signal(SIGSTOP);
  EXPECT_TRUE(top.ReadUntil("/metrics: no answer: nothing for 5 s; trying again"));
  server.Signal(SIGCONT);
  // The line below the numbers of the server is empty again.
  EXPECT_TRUE(top.ReadUntil("\n\x1b[K\n\x1b[K MODEL")) << top.output();
  EXPECT_EQ(server.Stop(), 0);
  EXPECT_TRUE(top.ReadUntil("/metrics: cannot connect: Connection refused; trying again"))
      << top.output();
  top.Type("q");
  EXPECT_EQ(top.Wait(), 0);
  ExpectRestored(top);
}

}  // namespace
}  // namespace dray::testing
