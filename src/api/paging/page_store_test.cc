#include "api/paging/page_store.h"

#include <gtest/gtest.h>

namespace dray::api {
namespace {

constexpr size_t kAll = 1000;
using Result = PageStore::FetchResult;

std::shared_ptr<PageStore> MakeStore(PageStore::Limits limits = {}) {
  return std::make_shared<PageStore>(limits);
}

TEST(PageStoreTest, GivesPiecesInPages) {
  const auto store = MakeStore();
  const auto begun = store->Begin();
  ASSERT_TRUE(begun);
  PageStore::Page page;
  EXPECT_EQ(store->Fetch(begun->token, kAll, page), Result::kNothingYet);
  EXPECT_EQ(page.next_token, begun->token);
  http::ResponseHead head;
  head.status = 207;
  begun->responder->BeginStream(head);
  for (const char* piece : {"a", "b", "", "c"}) EXPECT_TRUE(begun->responder->Write(piece));
  page = {};
  EXPECT_EQ(store->Fetch(begun->token, 2, page), Result::kPage);
  EXPECT_EQ(page.response.body, "ab");
  EXPECT_EQ(page.response.head.status, 207);
  const std::string second = page.next_token;
  page = {};
  EXPECT_EQ(store->Fetch(second, 2, page), Result::kPage);
  EXPECT_EQ(page.response.body, "c");
  const std::string third = page.next_token;
  page = {};
  EXPECT_EQ(store->Fetch(third, 2, page), Result::kNothingYet);
  EXPECT_EQ(page.next_token, third);
  begun->responder->End();
  page = {};
  EXPECT_EQ(store->Fetch(third, 2, page), Result::kPage);
  EXPECT_EQ(page.next_token, "");
  EXPECT_EQ(page.response.body, "");
  // A client whose connection broke off asks again.
  page = {};
  EXPECT_EQ(store->Fetch(second, 2, page), Result::kPage);
  EXPECT_EQ(page.response.body, "c");
  EXPECT_EQ(page.next_token, "");
}

TEST(PageStoreTest, APageEndsWithThePieceThatFillsIt) {
  const auto store = MakeStore({.max_page_bytes = 3});
  const auto begun = store->Begin();
  for (const char* piece : {"ab", "cdef", "g"}) EXPECT_TRUE(begun->responder->Write(piece));
  begun->responder->End();
  PageStore::Page first;
  EXPECT_EQ(store->Fetch(begun->token, kAll, first), Result::kPage);
  EXPECT_EQ(first.response.body, "abcdef");
  PageStore::Page last;
  EXPECT_EQ(store->Fetch(first.next_token, kAll, last), Result::kPage);
  EXPECT_EQ(last.response.body, "g");
  EXPECT_EQ(last.next_token, "");
}

TEST(PageStoreTest, TokensThatAreNoneAreRefused) {
  const auto store = MakeStore();
  const auto begun = store->Begin();
  const std::string key = begun->token.substr(0, begun->token.rfind('.'));
  PageStore::Page page;
  for (const std::string& token :
       {std::string(), std::string("."), std::string("x.0"), key, key + ".", key + ".1",
        key + ".-1", key + ".0x", key + ".99999999999999999999"}) {
    EXPECT_EQ(store->Fetch(token, kAll, page), Result::kNoSuchToken) << token;
  }
}

TEST(PageStoreTest, AResponderThatIsLetGoEndsTheAnswer) {
  const auto store = MakeStore();
  auto begun = store->Begin();
  begun->responder.reset();
  PageStore::Page page;
  EXPECT_EQ(store->Fetch(begun->token, kAll, page), Result::kPage);
  EXPECT_EQ(page.response.head.status, 500);
}

TEST(PageStoreTest, KeepsNoMoreThanItMay) {
  const auto store = MakeStore({.max_answers = 2});
  const auto first = store->Begin();
  const auto second = store->Begin();
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(store->Begin());
  first->responder->Send({.head = {}, .body = "done"});
  EXPECT_FALSE(store->Begin());
  PageStore::Page page;
  EXPECT_EQ(store->Fetch(first->token, kAll, page), Result::kPage);
  // What has been fetched to its end makes room.
  EXPECT_TRUE(store->Begin());
  EXPECT_EQ(store->Fetch(first->token, kAll, page), Result::kNoSuchToken);
}

TEST(PageStoreTest, AnAnswerThatIsTooLongIsCancelledAndForgotten) {
  const auto store = MakeStore({.max_answer_bytes = 10});
  const auto begun = store->Begin();
  int cancels = 0;
  begun->responder->OnCancel([&] { ++cancels; });
  begun->responder->BeginStream({});
  EXPECT_TRUE(begun->responder->Write("0123456789"));
  EXPECT_FALSE(begun->responder->Write("x"));
  EXPECT_EQ(cancels, 1);
  EXPECT_TRUE(begun->responder->cancelled());
  PageStore::Page page;
  EXPECT_EQ(store->Fetch(begun->token, kAll, page), Result::kNoSuchToken);
  begun->responder->OnCancel([&] { ++cancels; });
  EXPECT_EQ(cancels, 2);
}

TEST(PageStoreTest, OldAnswersAreForgotten) {
  const auto store = MakeStore({.expiry = std::chrono::seconds(0)});
  const auto begun = store->Begin();
  int cancels = 0;
  begun->responder->OnCancel([&] { ++cancels; });
  PageStore::Page page;
  EXPECT_EQ(store->Fetch(begun->token, kAll, page), Result::kNoSuchToken);
  EXPECT_EQ(cancels, 1);
}

}  // namespace
}  // namespace dray::api
