// The server over real sockets: answers, streams, limits, clients that misbehave or leave.
#include "http/server.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "http/testing/server_fixture.h"
#include "http/testing/test_client.h"

namespace dray::http {
namespace {

TEST_F(HttpServerTest, AnswersExactBytes) {
  Start();
  TestClient client(server_->port());
  client.Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.ReceiveUntil("hello\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
            "Connection: keep-alive\r\n\r\nhello\n");
  client.Send("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.Receive().Header("Connection"), "close");
  EXPECT_TRUE(client.WaitForClose());
}

TEST_F(HttpServerTest, StreamsChunks) {
  Start();
  TestClient client(server_->port());
  client.Send(PostRequest("/stream", ""));
  const TestResponse response = client.Receive();
  EXPECT_EQ(response.chunks, (std::vector<std::string>{"one ", "two ", "three"}));
  EXPECT_TRUE(response.complete);
  client.Send(PostRequest("/echo", "again"));
  EXPECT_EQ(client.Receive().body, "again");
}

TEST_F(HttpServerTest, SpeaksHttp10AndHead) {
  router_.Add("HEAD", "/hello", [](const Request&, const ResponderPtr& responder) {
    responder->Send(Text("hello\n"));
  });
  Start();
  TestClient old(server_->port());
  old.Send("POST /stream HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(old.ReceiveUntil("three"), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\none two three");
  EXPECT_TRUE(old.WaitForClose());
  TestClient head(server_->port());
  head.Send("HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string bytes = head.ReceiveUntil("hello\n");
  EXPECT_EQ(bytes.find("\r\n\r\nHTTP/1.1 200 OK"), bytes.find("\r\n\r\n"));
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  Start();
  TestClient client(server_->port());
  std::string requests = PostRequest("/wait", "");
  for (int i = 0; i < 50; ++i) requests += PostRequest("/echo", std::to_string(i));
  client.Send(requests);
  const ResponderPtr first = Waiting();
  ASSERT_NE(first, nullptr);
  first->Send(Text("first"));
  EXPECT_EQ(client.Receive().body, "first");
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.Receive().body, std::to_string(i));
}

TEST_F(HttpServerTest, TakesARequestByteByByte) {
  Start();
  TestClient client(server_->port());
  for (const char& c : PostRequest("/echo", "slow but whole")) ASSERT_TRUE(client.Send({&c, 1}));
  EXPECT_EQ(client.Receive().body, "slow but whole");
}

TEST_F(HttpServerTest, TellsNotFoundFromWrongMethod) {
  Start();
  TestClient client(server_->port());
  client.Send(PostRequest("/nowhere", ""));
  EXPECT_EQ(client.Receive().status, 404);
  TestClient other(server_->port());
  other.Send(PostRequest("/hello", ""));
  const TestResponse response = other.Receive();
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.Header("Allow"), "GET");
  EXPECT_EQ(response.Header("Connection"), "close");
  EXPECT_TRUE(other.WaitForClose());
}

TEST_F(HttpServerTest, ClosesAfterWhatItCannotRead) {
  Start();
  for (const auto& [bytes, status] : std::vector<std::pair<std::string, int>>{
           {"GET / HTTP/1.1\nHost: h\n\n", 400},
           {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\n", 414},
           {"GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(9000, 'a'), 431},
           {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 67108865\r\n\r\n", 413},
           {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Encoding: br\r\n\r\n", 415}}) {
    TestClient client(server_->port());
    // A second request behind it must never be answered.
    client.Send(bytes + "\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    const TestResponse response = client.Receive();
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.Header("Connection"), "close");
    EXPECT_EQ(client.ReceiveUntil("HTTP/1.1", milliseconds(500)), "");
  }
  EXPECT_EQ(server_->stats().requests, 0U);
}

TEST_F(HttpServerTest, UsesTheOwnersErrorBody) {
  options_.make_error = [](int status, const std::string& message, const Request* request) {
    return Text(std::to_string(status) + (request == nullptr ? " - " : " + ") + message);
  };
  Start();
  TestClient client(server_->port());
  client.Send(PostRequest("/nowhere", ""));
  EXPECT_EQ(client.Receive().body,
            "404 + Requested resource is not found, please refer to API document.");
  TestClient other(server_->port());
  other.Send("nonsense\r\n");
  EXPECT_EQ(other.Receive().body,
            "400 - the request line must be: method, space, target, space, version");
}

TEST_F(HttpServerTest, MeetsExpectContinue) {
  Start();
  TestClient client(server_->port());
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.ReceiveUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("ok");
  EXPECT_EQ(client.Receive().body, "ok");
  TestClient refused(server_->port());
  refused.Send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(refused.Receive().status, 413);
}

TEST_F(HttpServerTest, ContainsExceptionsAndForgottenRequests) {
  Start();
  TestClient client(server_->port());
  client.Send("GET /throw HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 500);
  TestClient other(server_->port());
  other.Send("GET /forget HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(other.Receive().status, 500);
  EXPECT_EQ(server_->stats().handler_exceptions, 1U);
  TestClient third(server_->port());
  third.Send(PostRequest("/echo", "alive"));
  EXPECT_EQ(third.Receive().body, "alive");
}

TEST_F(HttpServerTest, NoticesWithinASecondThatAClientLeft) {
  Start();
  for (const bool reset : {false, true}) {
    for (const bool streaming : {false, true}) {
      TestClient client(server_->port());
      client.Send(PostRequest("/wait", "x"));
      const size_t index = (reset ? 2 : 0) + (streaming ? 1 : 0);
      const ResponderPtr responder = Waiting(index);
      ASSERT_NE(responder, nullptr);
      if (streaming) {
        responder->BeginStream({});
        responder->Write("begun");
        EXPECT_NE(client.ReceiveUntil("begun"), "");
      }
      const int before = cancels_;
      const auto start = Clock::now();
      reset ? client.Reset() : client.Close();
      EXPECT_TRUE(WaitFor([&] { return cancels_ == before + 1; }));
      EXPECT_LT(Clock::now() - start, milliseconds(1000));
      EXPECT_TRUE(responder->cancelled());
      EXPECT_FALSE(responder->Write("more"));
    }
  }
  EXPECT_EQ(server_->stats().requests_in_flight, 0);
}

TEST_F(HttpServerTest, ALateCancelCallbackRunsAtOnceAndAnAnsweredOneNever) {
  Start();
  TestClient client(server_->port());
  client.Send(PostRequest("/wait", ""));
  const ResponderPtr responder = Waiting();
  responder->Send(Text("done"));
  EXPECT_EQ(client.Receive().body, "done");
  client.Close();
  EXPECT_TRUE(WaitFor([&] { return server_->stats().connections == 0; }));
  EXPECT_EQ(cancels_, 0);
  responder->OnCancel([this] { ++cancels_; });
  EXPECT_EQ(cancels_, 0);

  TestClient leaver(server_->port());
  leaver.Send(PostRequest("/wait", ""));
  const ResponderPtr left = Waiting(1);
  leaver.Close();
  EXPECT_TRUE(WaitFor([&] { return cancels_ == 1; }));
  left->OnCancel([this] { ++cancels_; });
  EXPECT_EQ(cancels_, 2);
}

TEST_F(HttpServerTest, AReaderThatStopsIsCutOffAtTheBuffersLimit) {
  options_.max_unsent_bytes = 256 * 1024;
  Start();
  TestClient client(server_->port(), TestClient::ReceiveBuffer::kSmall);
  client.Send(PostRequest("/wait", ""));
  const ResponderPtr responder = Waiting();
  ASSERT_NE(responder, nullptr);
  responder->BeginStream({});
  const std::string piece(16 * 1024, 'x');
  size_t written = 0;
  while (responder->Write(piece) && written < (size_t{64} << 20)) written += piece.size();
  // What the kernel's buffers took, and our limit.
  EXPECT_LT(written, size_t{16} << 20);
  EXPECT_TRUE(WaitFor([&] { return cancels_ == 1; }));
  EXPECT_TRUE(WaitFor([&] { return server_->stats().connections == 0; }));
}

TEST_F(HttpServerTest, AReaderThatStopsIsCutOffInTime) {
  options_.timeouts.send_stall = milliseconds(200);
  options_.max_unsent_bytes = size_t{64} << 20;
  Start();
  TestClient client(server_->port(), TestClient::ReceiveBuffer::kSmall);
  client.Send(PostRequest("/wait", ""));
  const ResponderPtr responder = Waiting();
  ASSERT_NE(responder, nullptr);
  responder->BeginStream({});
  EXPECT_TRUE(responder->Write(std::string(size_t{16} << 20, 'x')));
  EXPECT_TRUE(WaitFor([&] { return cancels_ == 1; }));
}

TEST_F(HttpServerTest, EveryStageHasItsTime) {
  options_.timeouts.header = options_.timeouts.body_idle = milliseconds(150);
  options_.timeouts.keep_alive = milliseconds(150);
  Start();
  TestClient silent(server_->port());
  TestClient half_head(server_->port());
  half_head.Send("GET /hello HT");
  TestClient half_body(server_->port());
  half_body.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
  TestClient kept(server_->port());
  kept.Send(PostRequest("/echo", "x"));
  EXPECT_EQ(kept.Receive().status, 200);
  EXPECT_TRUE(silent.WaitForClose());
  EXPECT_EQ(half_head.Receive().status, 408);
  EXPECT_EQ(half_body.Receive().status, 408);
  EXPECT_TRUE(kept.WaitForClose());
}

TEST_F(HttpServerTest, ABodyThatDripsIsRefused) {
  options_.timeouts.body_idle = milliseconds(200);
  Start();
  TestClient client(server_->port());
  client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
  std::thread drip([&] {
    for (int i = 0; i < 40 && client.Send("x"); ++i) std::this_thread::sleep_for(milliseconds(20));
  });
  EXPECT_EQ(client.Receive().status, 408);
  drip.join();
}

TEST_F(HttpServerTest, ConnectionsAndBodiesAreBounded) {
  options_.max_connections = 3;
  options_.max_total_body_bytes = 100'000;
  Start();
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<TestClient>(server_->port()));
    clients.back()->Send(PostRequest("/echo", "x"));
    EXPECT_EQ(clients.back()->Receive().status, 200);
  }
  TestClient fourth(server_->port());
  EXPECT_EQ(fourth.Receive().status, 503);
  EXPECT_TRUE(fourth.WaitForClose());
  clients[0]->Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" +
                   std::string(60'000, 'x'));
  std::this_thread::sleep_for(milliseconds(100));
  clients[1]->Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" +
                   std::string(60'000, 'x'));
  EXPECT_EQ(clients[1]->Receive().status, 503);
  clients[0]->Send(std::string(40'000, 'x'));
  EXPECT_EQ(clients[0]->Receive().body.size(), 100'000U);
}

TEST_F(HttpServerTest, LargeAnswersArriveWhole) {
  Start();
  TestClient client(server_->port());
  std::string body(size_t{20} << 20, 'y');
  for (size_t i = 0; i < body.size(); i += 997) body[i] = 'z';
  std::thread sender([&] { client.Send(PostRequest("/echo", body)); });
  const TestResponse response = client.Receive();
  sender.join();
  EXPECT_TRUE(response.body == body);
}

TEST_F(HttpServerTest, HeaderValuesCannotAddHeaders) {
  router_.Add("POST", "/header", [](const Request& request, const ResponderPtr& responder) {
    Response response = Text("");
    response.head.headers.Add("X-Echo", request.body);
    responder->Send(std::move(response));
  });
  Start();
  TestClient client(server_->port());
  client.Send(PostRequest("/header", "a\r\nX-Evil: 1"));
  const TestResponse response = client.Receive();
  EXPECT_EQ(response.Header("X-Evil"), "(none)");
  EXPECT_EQ(response.Header("X-Echo"), "a  X-Evil: 1");
}

TEST_F(HttpServerTest, AnAddressThatIsTakenIsAnError) {
  Start();
  const auto second = Server::Start({}, {{.port = server_->port()}});
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find(std::to_string(server_->port())), std::string::npos);
}

}  // namespace
}  // namespace dray::http
