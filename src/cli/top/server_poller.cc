#include "cli/top/server_poller.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace dray::cli {
namespace {

// Far above what a hundred models take, which is the most that one page of /models has.
constexpr size_t kLargestPage = 16 << 20;
constexpr const char* kModelsTarget = "/models?limit=100";

double SecondsNow() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The name as a part of a path: everything but letters, digits and "-._~" as %XX.
std::string PathPart(std::string_view name) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : name) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

// The error of a page with what the user can do about it.
Status Explained(const Status& status, const std::string& target) {
  const std::string& message = status.message();
  std::string advice;
  if (message.starts_with("HTTP 401")) {
    advice = "; show a key of the server's management by --api-key-file or DRAY_API_KEY";
  } else if (message.starts_with("HTTP 404")) {
    advice = "; name the server's management address";
  } else if (message.starts_with(http::kUntrustedServer)) {
    advice = "; name the certificate of its authority by --ca, or do without trust by --insecure";
  }
  return Status(status.code(), message + advice).WithPrefix(target);
}

}  // namespace

ServerPoller::ServerPoller(boost::asio::io_context& io, ServerTarget target)
    : target_(std::move(target)), client_(http::MakeHttpClient(io, target_.server)) {}

void ServerPoller::Poll(OnSample on_sample) {
  on_sample_ = std::move(on_sample);
  sample_ = {};
  pages_ = {
      {"/metrics",
       [this](const std::string& body) {
         sample_.taken_seconds = SecondsNow();
         return ReadMetrics(body, sample_);
       }},
      {kModelsTarget, [this](const std::string& body) { return TakeModelList(body); }},
  };
  AskNext();
}

void ServerPoller::AskNext() {
  if (pages_.empty()) return End(OkStatus());
  const auto page = std::make_shared<Page>(std::move(pages_.front()));
  pages_.pop_front();
  const auto body = std::make_shared<std::string>();
  client_->Send(
      {.target = page->target, .body = std::nullopt, .headers = target_.headers},
      [body, page](std::string_view bytes) {
        body->append(bytes);
        if (body->size() <= kLargestPage) return OkStatus();
        return Status(StatusCode::kResourceExhausted,
                      fmt::format("{} has more than {} bytes", page->target, kLargestPage));
      },
      [this, body, page](const Status& status) { TakePage(*page, *body, status); });
}

void ServerPoller::TakePage(const Page& page, const std::string& body, const Status& status) {
  if (!status.ok()) {
    const bool is_dispensable = page.is_optional && status.message().starts_with("HTTP ");
    return is_dispensable ? AskNext() : End(Explained(status, page.target));
  }
  const Status read = page.read(body);
  read.ok() ? AskNext() : End(read);
}

Status ServerPoller::TakeModelList(const std::string& body) {
  DRAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, ReadModelList(body, sample_));
  for (const std::string& name : names) {
    pages_.push_back(
        {"/models/" + PathPart(name),
         [this, name](const std::string& page) { return ReadModelPage(name, page, sample_); },
         true});
  }
  return OkStatus();
}

void ServerPoller::End(Status status) {
  pages_.clear();
  const OnSample on_sample = std::exchange(on_sample_, nullptr);
  if (status.ok()) return on_sample(std::move(sample_));
  on_sample(std::move(status));
}

}  // namespace dray::cli
