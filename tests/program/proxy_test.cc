// nginx in front of dray, where it is installed (tools/packages_judges.txt): answers, streams and errors pass
// through it unchanged, over connections that it keeps.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "testing/demo_process.h"
#include "testing/http_client.h"
#include "testing/process.h"

namespace dray::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNginx = "/usr/sbin/nginx";

// nginx on a Unix socket, in the foreground, with one worker.
class Proxy {
 public:
  explicit Proxy(uint16_t upstream_port)
      : folder_(fs::path(::testing::TempDir()) / fmt::format("proxy_{}", ::getpid())) {
    fs::create_directories(folder_);
    socket_ = (folder_ / "nginx.sock").string();
    std::ofstream(folder_ / "nginx.conf")
        << fmt::format(R"(daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
  uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
  upstream dray {{ server 127.0.0.1:{1}; keepalive 4; }}
  server {{
    listen unix:{2};
    location / {{
      proxy_pass http://dray; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
)",
                       folder_.string(), upstream_port, socket_);
    process_.emplace(std::vector<std::string>{kNginx, "-p", folder_.string(), "-c",
                                              (folder_ / "nginx.conf").string()});
    for (int i = 0; i < 1000 && !fs::exists(socket_); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(fs::exists(socket_));
  }
  ~Proxy() {
    process_.reset();
    fs::remove_all(folder_);
  }

  std::string Curl(std::vector<std::string> arguments, const std::string& path) const {
    arguments.insert(arguments.begin(), {"/usr/bin/curl", "-sS", "-N", "--max-time", "60",
                                         "--unix-socket", socket_, "http://localhost" + path});
    const ProcessResult result = RunProcess(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    return result.output;
  }

 private:
  const fs::path folder_;
  std::string socket_;
  std::optional<Process> process_;
};

TEST(ProxyTest, PassesEverythingOn) {
  if (!fs::exists(kNginx)) GTEST_SKIP() << kNginx << " is not installed";
  DemoProcess server({});
  const Proxy proxy(server.port());
  const std::string request =
      R"({"inputs": "The cat", "parameters": {"max_new_tokens": 5, "ignore_eos_token": true})";
  const auto direct = Post(server.port(), "/invocations", request + "}");
  ASSERT_TRUE(direct);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(
        proxy.Curl({"-d", request + "}", "-H", "Content-Type: application/json"}, "/invocations"),
        direct->body);
  }
  const std::string stream =
      proxy.Curl({"-d", request + R"(, "stream": true})", "-H", "Content-Type: application/json"},
                 "/invocations");
  EXPECT_EQ(std::count(stream.begin(), stream.end(), '\n'), 5) << stream;
  EXPECT_NE(stream.find("\"generated_text\""), std::string::npos) << stream;
  EXPECT_EQ(proxy.Curl({"-d", "{}", "-H", "Content-Type: application/json", "-o", "/dev/null", "-w",
                        "%{http_code}"},
                       "/invocations"),
            "400");
  EXPECT_EQ(proxy.Curl({"-o", "/dev/null", "-w", "%{http_code}"}, "/ping"), "200");
  EXPECT_EQ(server.Stop(), 0);
}

}  // namespace
}  // namespace dray::testing
