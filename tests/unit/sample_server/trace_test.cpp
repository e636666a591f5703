// Reading, scaling and making traces.
#include "trace.h"

#include <gtest/gtest.h>

#include <sstream>

#include "trace_synthesis.h"

namespace sample_server {
namespace {

constexpr const char* good_line =
    R"({"timestamp": 5, "input_length": 600, "output_length": 40, "hash_ids": [3, 9]})";

// The message of the TraceError that reading `text` ends with.
std::string refusal(const std::string& text) {
  std::istringstream in(text);
  try {
    read_trace(in, "some.jsonl", 0);
  } catch (const TraceError& error) {
    return error.what();
  }
  return "";
}

std::string with(const std::string& from, const std::string& to) {
  std::string line = good_line;
  return line.replace(line.find(from), from.size(), to);
}

TEST(Trace, ReadsARequest) {
  std::istringstream in(good_line);
  const auto requests = read_trace(in, "some.jsonl", 0);
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].timestamp.count(), 5);
  EXPECT_EQ(requests[0].input_length, 600U);
  EXPECT_EQ(requests[0].output_length, 40U);
  EXPECT_EQ(requests[0].hash_ids, (std::vector<std::uint64_t>{3, 9}));
}

TEST(Trace, StopsAtTheLimit) {
  std::istringstream in(std::string(good_line) + "\n" + good_line + "\nnonsense\n");
  EXPECT_EQ(read_trace(in, "some.jsonl", 2).size(), 2U);
}

TEST(Trace, NamesTheLineThatIsNoObject) {
  EXPECT_EQ(refusal(std::string(good_line) + "\n[1, 2\n"),
            "some.jsonl:2: '[1, 2' is not a JSON object; accepted is {\"timestamp\": …, "
            "\"input_length\": …, \"output_length\": …, \"hash_ids\": […]}");
}

TEST(Trace, NamesTheKeyThatIsMissing) {
  EXPECT_EQ(refusal(with("\"output_length\": 40, ", "")),
            "some.jsonl:1: key 'output_length' is missing");
}

TEST(Trace, NamesTheValueThatIsNoCount) {
  EXPECT_EQ(refusal(with("40", "\"many\"")),
            "some.jsonl:1: key 'output_length' is \"many\"; accepted is a whole number from 1 to "
            "16777216");
  EXPECT_EQ(refusal(with("40", "-1")),
            "some.jsonl:1: key 'output_length' is -1; accepted is a whole number from 1 to "
            "16777216");
}

TEST(Trace, RefusesTheWrongNumberOfHashIds) {
  EXPECT_EQ(refusal(with("[3, 9]", "[3]")),
            "some.jsonl:1: key 'hash_ids' is [3]; accepted is a list of 2 ids, one for every 512 "
            "tokens of input_length 600");
}

TEST(Trace, RefusesTimeThatRunsBackwards) {
  EXPECT_EQ(refusal(std::string(good_line) + "\n" + with("\"timestamp\": 5", "\"timestamp\": 4")),
            "some.jsonl:2: key 'timestamp' is 4; accepted is a whole number from 5 to "
            "9007199254740992");
}

TEST(Trace, RefusesAnEmptyFile) {
  EXPECT_EQ(refusal("\n"), "some.jsonl: no request in it; accepted is one a line");
}

TEST(Trace, GivesEqualHashIdsEqualTokens) {
  TraceRequest first, second;
  first.input_length = second.input_length = 1024;
  first.hash_ids = {3, 9};
  second.hash_ids = {3, 8};
  const auto a = prompt_tokens(first, 32, 1000);
  const auto b = prompt_tokens(second, 32, 1000);
  ASSERT_EQ(a.size(), 32U);
  EXPECT_TRUE(std::equal(a.begin(), a.begin() + 16, b.begin()));
  EXPECT_FALSE(std::equal(a.begin() + 16, a.end(), b.begin() + 16));
}

TEST(Trace, ScalesToAtLeastOneToken) {
  TraceRequest request;
  request.input_length = 600;
  request.output_length = 40;
  EXPECT_EQ(scaled_input(request, 64), 9U);
  EXPECT_EQ(scaled_output(request, 64), 1U);
}

TEST(TraceSynthesis, MakesATraceThatReadsBackTheSame) {
  const auto made = synthesise_trace({.requests = 200});
  std::stringstream file;
  write_trace(file, made);
  const auto read = read_trace(file, "made.jsonl", 0);
  ASSERT_EQ(read.size(), 200U);
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].timestamp, made[i].timestamp);
    EXPECT_EQ(read[i].hash_ids, made[i].hash_ids);
  }
}

TEST(TraceSynthesis, DependsOnItsSeedAlone) {
  std::ostringstream first, again, other;
  write_trace(first, synthesise_trace({.requests = 50, .seed = 4}));
  write_trace(again, synthesise_trace({.requests = 50, .seed = 4}));
  write_trace(other, synthesise_trace({.requests = 50, .seed = 5}));
  EXPECT_EQ(first.str(), again.str());
  EXPECT_NE(first.str(), other.str());
}

TEST(TraceSynthesis, LetsTurnsOfASessionSharePrefixes) {
  std::size_t shared = 0;
  const auto requests = synthesise_trace({.requests = 200, .system_prompt = 0});
  std::vector<std::uint64_t> first_ids;
  for (const auto& request : requests) first_ids.push_back(request.hash_ids[0]);
  std::sort(first_ids.begin(), first_ids.end());
  for (std::size_t i = 1; i < first_ids.size(); ++i) shared += first_ids[i] == first_ids[i - 1];
  EXPECT_GT(shared, 50U);
}

}  // namespace
}  // namespace sample_server
