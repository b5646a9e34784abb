// Request ids, trace contexts, timing and the access log.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "http/testing/server_fixture.h"
#include "http/trace/request_trace.h"
#include "http/trace/trace_context.h"

namespace dray::http {
namespace {

constexpr const char* kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContextTest, GoesOnWithAPartOfItsOwn) {
  const auto context = ContinueTrace(kParent);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(context->flags, "01");
  EXPECT_EQ(context->span_id.size(), 16U);
  EXPECT_NE(context->span_id, "00f067aa0ba902b7");
  EXPECT_EQ(TraceParent(*context),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-" + context->span_id + "-01");
  EXPECT_TRUE(ContinueTrace("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more"));
}

TEST(TraceContextTest, WhatIsNoContextIsIgnored) {
  for (const char* wrong : {"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
                            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
    EXPECT_FALSE(ContinueTrace(wrong)) << wrong;
  }
}

class TraceTest : public HttpServerTest {
 protected:
  TraceTest() {
    options_.request_id_header = "x-request-id";
    options_.on_answered = [this](const AccessRecord& record) {
      const std::lock_guard lock(records_mutex_);
      records_.push_back(record);
    };
    router_.Add("GET", "/model", [](const Request&, const ResponderPtr& responder) {
      Response response = Text("done\n");
      response.head.model_seconds = 0;
      responder->Send(std::move(response));
    });
  }
  TestResponse Ask(std::string_view path, std::string_view headers) {
    TestClient client(server_->port());
    client.Send(fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n{}\r\n", path, headers));
    return client.Receive();
  }
  // The record of the request at `index`, once it is there.
  AccessRecord Record(size_t index) {
    WaitFor([&] {
      const std::lock_guard lock(records_mutex_);
      return records_.size() > index;
    });
    const std::lock_guard lock(records_mutex_);
    return records_.at(index);
  }

  std::mutex records_mutex_;
  std::vector<AccessRecord> records_;
};

TEST_F(TraceTest, AnswersCarryTheRequestsNames) {
  Start();
  TestResponse response =
      Ask("/hello", fmt::format("X-Request-Id: 17\r\ntraceparent: {}\r\n", kParent));
  EXPECT_EQ(response.Header("x-request-id"), "17");
  EXPECT_EQ(response.Header("traceparent").substr(0, 36), "00-4bf92f3577b34da6a3ce929d0e0e4736-");
  EXPECT_EQ(response.Header("Server-Timing"), "(none)");
  response = Ask("/hello", "traceparent: none\r\n");
  EXPECT_EQ(response.Header("x-request-id").size(), 36U);
  EXPECT_EQ(response.Header("traceparent"), "(none)");
  EXPECT_EQ(Record(0).request.id, "17");
  EXPECT_EQ(Record(0).request.context->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST_F(TraceTest, TimingIsToldIfTheClientAsks) {
  Start();
  EXPECT_EQ(
      Ask("/hello", "x-server-timing: true\r\n").Header("Server-Timing").rfind("total;dur=", 0),
      0U);
  EXPECT_EQ(Ask("/model", "x-server-timing: true\r\n")
                .Header("Server-Timing")
                .rfind("model;dur=0.000, overhead;dur=", 0),
            0U);
}

TEST_F(TraceTest, EveryAnswerIsReportedOnce) {
  Start();
  Ask("/hello?a=1", "");
  Ask("/nowhere", "");
  {
    TestClient client(server_->port());
    client.Send("no request\r\n\r\n");
    EXPECT_EQ(client.Receive().status, 400);
  }
  {
    TestClient client(server_->port());
    client.Send(PostRequest("/wait", ""));
    ASSERT_NE(Waiting(), nullptr);
  }
  AccessRecord record = Record(0);
  record.time = std::chrono::milliseconds(3);
  EXPECT_EQ(AccessLine(record), "127.0.0.1 \"GET /hello?a=1 HTTP/1.1\" 200 3");
  EXPECT_EQ(Record(1).request.status, 404);
  record = Record(2);
  record.time = {};
  EXPECT_EQ(AccessLine(record), "127.0.0.1 \"-\" 400 0");
  EXPECT_EQ(Record(3).request.status, 499);
  EXPECT_EQ(server_->stats().responses, (std::array<uint64_t, 5>{0, 1, 0, 2, 0}));
}

}  // namespace
}  // namespace dray::http
