// Servers with several endpoints, and on Unix sockets.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <new>
#include <optional>

#include "http/listen/listener.h"
#include "http/listen/unix_socket_file.h"
#include "http/testing/server_fixture.h"

namespace dray::http {
namespace {

namespace fs = std::filesystem;

// What the server at `path` answers to `request`; nothing if there is no server.
std::optional<std::string> Ask(const std::string& path, std::string_view request) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  std::optional<std::string> answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    EXPECT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    answer.emplace();
    char buffer[4096];
    for (ssize_t size = 0; (size = ::recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
      answer->append(buffer, static_cast<size_t>(size));
    }
  }
  ::close(fd);
  return answer;
}

constexpr std::string_view kHello = "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

class ListenTest : public HttpServerTest {
 protected:
  ListenTest() { fs::create_directories(folder_); }
  ~ListenTest() override { fs::remove_all(folder_); }

  Status StartUnix() {
    auto server = Server::Start(options_, {{.unix_path = path_, .router = router_}});
    if (server.ok()) server_ = std::move(server).value();
    return server.status();
  }

  const fs::path folder_ = fs::path(testing::TempDir()) / ("listen_" + std::to_string(::getpid()));
  const std::string path_ = (folder_ / "dray.sock").string();
};

TEST_F(ListenTest, AnswersOnAUnixSocketOfItsUserAlone) {
  ASSERT_TRUE(StartUnix().ok());
  const auto answer = Ask(path_, kHello);
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
            "Connection: close\r\n\r\nhello\n");
  struct stat file = {};
  ASSERT_EQ(::lstat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777U, 0600U);
  EXPECT_EQ(server_->port(), 0);
  server_.reset();
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(ListenTest, ReplacesASocketThatWasLeftBehind) {
  // What a process that was killed leaves: a socket on which nobody listens.
  {
    auto file = UnixSocketFile::Listen(path_);
    ASSERT_TRUE(file.ok());
    ::close(file->ReleaseSocket());
    fs::rename(path_, folder_ / "kept");
  }
  fs::rename(folder_ / "kept", path_);
  ASSERT_TRUE(StartUnix().ok());
  EXPECT_TRUE(Ask(path_, kHello));
}

TEST_F(ListenTest, DoesNotTakeWhatIsInUse) {
  ASSERT_TRUE(StartUnix().ok());
  const auto second = Server::Start(options_, {{.unix_path = path_, .router = router_}});
  EXPECT_EQ(second.status().message(),
            "cannot listen on unix:" + path_ +
                ": another server listens there; end it or choose another path");
  EXPECT_TRUE(Ask(path_, kHello));
  server_.reset();
  std::ofstream(path_) << "text";
  EXPECT_EQ(StartUnix().message(),
            "cannot listen on unix:" + path_ +
                ": the file is there and is no socket; remove it or choose another path");
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(ListenTest, DoesNotWaitForAServerThatAcceptsNobody) {
  auto file = UnixSocketFile::Listen(path_);
  ASSERT_TRUE(file.ok());
  const int listening = file->ReleaseSocket();
  // Room for one connection that waits to be accepted; with it taken, a socket that blocks would wait.
  ASSERT_EQ(::listen(listening, 0), 0);
  const int waiting = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  ASSERT_EQ(::connect(waiting, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_NE(StartUnix().message().find("another server listens there"), std::string::npos);
  ::close(waiting);
  ::close(listening);
}

TEST_F(ListenTest, LeavesAFileOfAnotherServerAlone) {
  ASSERT_TRUE(StartUnix().ok());
  fs::remove(path_);
  std::ofstream(path_) << "text";
  server_.reset();
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(ListenTest, APathThatIsTooLongIsAnError) {
  const std::string path = (folder_ / std::string(200, 'x')).string();
  const auto file = UnixSocketFile::Listen(path);
  EXPECT_NE(file.status().message().find("a socket's may have 107"), std::string::npos);
}

TEST_F(ListenTest, EachEndpointHasItsOwnRoutes) {
  Router other;
  other.Add("GET", "/other", [](const Request&, const ResponderPtr& responder) {
    responder->Send(Text("other\n"));
  });
  auto server = Server::Start(options_, {{.port = 0, .router = router_},
                                         {.port = 0, .router = other},
                                         {.unix_path = path_, .router = other}});
  ASSERT_TRUE(server.ok()) << server.status().message();
  const auto get = [&](size_t endpoint_idx, std::string_view path) {
    TestClient client((*server)->port(endpoint_idx));
    client.Send(fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", path));
    return client.Receive().status;
  };
  EXPECT_NE((*server)->port(0), (*server)->port(1));
  EXPECT_EQ(get(0, "/hello"), 200);
  EXPECT_EQ(get(0, "/other"), 404);
  EXPECT_EQ(get(1, "/hello"), 404);
  EXPECT_EQ(get(1, "/other"), 200);
  EXPECT_TRUE(Ask(path_, "GET /other HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                  ->ends_with("other\n"));
}

TEST_F(ListenTest, AnAddressThatIsTakenEndsTheOthers) {
  Start();
  const auto second =
      Server::Start(options_, {{.unix_path = path_, .router = router_}, {.port = server_->port()}});
  EXPECT_FALSE(second.ok());
  EXPECT_FALSE(fs::exists(path_));
}

TEST(ListenerTest, GoesOnAfterAConnectionForWhichThereWasNoMemory) {
  boost::asio::io_context io;
  const Endpoint endpoint = {.port = 0};
  int num_sockets = 0;
  Listener listener(io, endpoint,
                    {.choose_loop = [&]() -> boost::asio::io_context& { return io; },
                     .on_socket =
                         [&](const Socket&) {
                           if (++num_sockets == 1) throw std::bad_alloc();
                           io.stop();
                           return Listener::Next::kAccept;
                         }});
  ASSERT_TRUE(listener.Open().ok());
  const TestClient first(listener.port());
  const TestClient second(listener.port());
  io.run();
  EXPECT_EQ(num_sockets, 2);
}

}  // namespace
}  // namespace dray::http
