#include "cli/top/screen/screen.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cli/top/report.h"

namespace dray::cli {
namespace {

ModelView LoadedModel() {
  ModelView model;
  model.name = "llama";
  model.version = "2";
  model.status = {.state = "Healthy", .ready_workers = 1, .max_workers = 2, .queued = 3};
  model.numbers = ModelNumbers{.running = 8,
                               .waiting = 1,
                               .cache_blocks = 200,
                               .cache_used_blocks = 50,
                               .preemptions = 2,
                               .restarts = 1,
                               .restarting = 1,
                               .drafted_tokens = 100,
                               .accepted_tokens = 75,
                               .stopped = 30,
                               .reached_length = 12,
                               .cancelled = 4,
                               .refused_queue_full = 5};
  model.prompt_token_rate = 1234.5;
  model.generated_token_rate = 56.78;
  model.batch = 7.9;
  model.queue_time = {Quantile{0.0001}, Quantile{0.25}};
  model.time_to_first_token = {Quantile{0.0123}, Quantile{1.5}};
  model.time_per_token = {Quantile{0.03}, Quantile{20, true}};
  model.token_rates = {0, 10, 20, 40, 56.78};
  return model;
}

ServerView ViewOf(std::vector<ModelView> models) {
  ServerView view;
  view.now.processors = 4;
  view.now.resident_bytes = 2.5e9;
  view.now.open_files = 21;
  view.now.connections = 18;
  view.now.requests_in_flight = 12;
  view.up_seconds = 11520;
  view.busy_processors = 3;
  view.response_rates = {0, 0, 7.5, 0, 0.5, 0};
  view.window_seconds = 30;
  view.models = std::move(models);
  return view;
}

ScreenOptions Options(size_t columns, size_t rows) {
  ScreenOptions options;
  options.columns = columns;
  options.rows = rows;
  options.url = "http://h:8080";
  options.clock = "14:02:11";
  options.refresh = "1 s";
  return options;
}

std::string Joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) {
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

TEST(ScreenTest, TwentyFourLinesOfEightyColumns) {
  ModelView loading;
  loading.name = "next";
  loading.status = {
      .state = "PENDING", .loaded_bytes = 1'000'000'000, .total_bytes = 4'000'000'000};
  EXPECT_EQ(Joined(DrawScreen(ViewOf({LoadedModel(), loading}), Options(80, 24))),
            R"( dray top  http://h:8080                               up 3 h 12 min   14:02:11
 processors 3.00 of 4 [|||||||||||||||     ]  memory 2.50 GB  files 21
 connections 18  in flight 12  answers/s  2xx 7.5  4xx 0.5  5xx 0  left 0

 MODEL           STATE     WORKERS   RUN  WAIT  PROMPT/s  TOKENS/s  BATCH  CACHE
>llama:2         Healthy       1/2     8     4      1234      56.8    7.9   25 %
 next            PENDING    25 % of 4.00 GB are loaded

 llama, version 2
 tokens/s       56.8                                           .:+#  up to 56.8
 cache          25 %        [||||||||                       ]  50 of 200 blocks
 latency        p50         p95         of the last 30 s
   queue        0.10 ms     250.0 ms
   first token  12.3 ms     1.50 s
   per token    30.0 ms     >20.00 s
   request      -           -
 requests       42 done   4 cancelled   0 timed out   0 failed
 refused        5 queue full   0 wrong
 engine         2 preempted   1 restarts   1 restarting   guesses 75 % right




 q quit   up down choose a model   p pause   + - faster, slower: 1 s
)");
}

// The columns of a line without colors: its code points.
size_t WidthOf(const std::string& line) {
  size_t width = 0;
  for (const char c : line) width += (static_cast<unsigned char>(c) & 0xC0) == 0x80 ? 0 : 1;
  return width;
}

TEST(ScreenTest, FitsAnyTerminal) {
  ModelView broken = LoadedModel();
  broken.name = std::string(300, 'x');
  broken.numbers->cache_blocks = 0;
  broken.numbers->running = std::numeric_limits<double>::infinity();
  broken.numbers->waiting = -1;
  broken.generated_token_rate = std::numeric_limits<double>::quiet_NaN();
  broken.token_rates = {std::numeric_limits<double>::infinity(), NAN, -1};
  ServerView view = ViewOf({LoadedModel(), broken, ModelView(), LoadedModel(), broken});
  view.now.resident_bytes = std::numeric_limits<double>::quiet_NaN();
  view.now.processors = 0;
  for (const size_t columns : {1, 2, 5, 20, 40, 79, 80, 119, 120, 300}) {
    for (const size_t rows : {1, 2, 5, 10, 24, 60}) {
      for (const size_t chosen : {0, 1, 4, 9}) {
        ScreenOptions options = Options(columns, rows);
        options.glyphs = Glyphs::kUnicode;
        options.chosen_model = chosen;
        options.trouble = std::string(100, 't');
        for (const auto& lines : {DrawScreen(view, options), DrawScreen(ViewOf({}), options),
                                  DrawWaitingScreen(options)}) {
          EXPECT_EQ(lines.size(), rows);
          for (const std::string& line : lines) EXPECT_LE(WidthOf(line), columns) << line;
        }
      }
    }
  }
}

TEST(ScreenTest, TheChosenModelIsAlwaysThere) {
  std::vector<ModelView> models(20);
  for (size_t i = 0; i < models.size(); ++i) {
    models[i].name = fmt::format("model-{:02}", i);
    models[i].numbers.emplace();
  }
  for (size_t chosen = 0; chosen < models.size(); ++chosen) {
    ScreenOptions options = Options(80, 24);
    options.chosen_model = chosen;
    const std::string screen = Joined(DrawScreen(ViewOf(models), options));
    EXPECT_NE(screen.find(">" + models[chosen].name), std::string::npos) << screen;
    EXPECT_NE(screen.find("\n " + models[chosen].name + "\n tokens/s"), std::string::npos);
    EXPECT_NE(screen.find(" of 20 models"), std::string::npos) << screen;
    EXPECT_NE(screen.find(" requests "), std::string::npos) << screen;
  }
}

TEST(ScreenTest, WideTerminalsHaveMoreColumns) {
  const std::string wide = Joined(DrawScreen(ViewOf({LoadedModel()}), Options(120, 24)));
  EXPECT_NE(wide.find("FIRST TOKEN p95  PER TOKEN p95"), std::string::npos) << wide;
  EXPECT_NE(wide.find("1.50 s       >20.00 s\n"), std::string::npos) << wide;
}

TEST(ScreenTest, ColorsTakeNoColumns) {
  ScreenOptions options = Options(80, 24);
  options.trouble = "no answer";
  options.colors = Colors::kAnsi;
  const auto lines = DrawScreen(ViewOf({LoadedModel()}), options);
  EXPECT_EQ(lines.at(3), "\x1b[1;31m no answer\x1b[0m");
  EXPECT_EQ(StyledLine(3, Colors::kAnsi).Add("ab", Style::kBold).Add("cd").Take(),
            "\x1b[1mab\x1b[0mc");
}

TEST(FiguresTest, TakeFewColumns) {
  EXPECT_EQ(RateText(0), "0");
  EXPECT_EQ(RateText(0.04), "0.0");
  EXPECT_EQ(RateText(99.94), "99.9");
  EXPECT_EQ(RateText(12345), "12345");
  EXPECT_EQ(RateText(123456), "123k");
  EXPECT_EQ(LatencyText(Quantile{0.00012}), "0.12 ms");
  EXPECT_EQ(LatencyText(std::nullopt), "-");
  EXPECT_EQ(DurationText(59.9), "59 s");
  EXPECT_EQ(DurationText(60), "1 min 0 s");
  EXPECT_EQ(DurationText(90000), "1 d 1 h");
  EXPECT_EQ(DurationText(-1), "?");
  EXPECT_EQ(Bar(0.5, 6), "[||  ]");
  EXPECT_EQ(Bar(NAN, 6), "[    ]");
  EXPECT_EQ(Bar(7, 6), "[||||]");
  EXPECT_EQ(Curve({1, 4, 2}, 2, Glyphs::kUnicode), "█▄");
  EXPECT_EQ(Curve({0, 1}, 4, Glyphs::kAscii), "   #");
}

TEST(ReportTest, OneValueALine) {
  ModelView loading;
  loading.name = "next";
  loading.status = {.state = "FAILED", .failure = "no memory"};
  const std::string report = WriteReport(ViewOf({LoadedModel(), loading}), "http://h:8080");
  for (const char* lines :
       {"server http://h:8080\n  up_seconds 11520\n  processors 4\n  busy_processors 3\n",
        "  resident_bytes 2500000000\n", "  answers_4xx_rate 0.5\n",
        "model llama 2\n  state Healthy\n  ready_workers 1\n  max_workers 2\n  queued 3\n",
        "  stopped 30\n  reached_length 12\n", "  generated_token_rate 56.78\n  batch 7.9\n",
        "  time_per_token_p50 0.03\n  time_per_token_p95 >20\n  request_time_p50 -\n",
        "model next\n  state FAILED\n  failure no memory\n"}) {
    EXPECT_NE(report.find(lines), std::string::npos) << lines << report;
  }
}

}  // namespace
}  // namespace dray::cli
