// Every wrong protocol is caught, every right one is not. Each run is a process of its own, since
// an illegal address ends the use of the GPU in its process.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <random>
#include <string>

namespace {

struct Result {
  int exit_code;
  std::string output;
};

Result run(const std::string& race, const std::string& variant, const std::string& options) {
  const std::string command = std::string(RACES_PROGRAM) + " --race " + race + " --variant " +
                              variant + " " + options + " 2>&1";
  Result result{-1, {}};
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return result;
  char text[256];
  while (std::fgets(text, sizeof text, pipe) != nullptr) result.output += text;
  const int status = pclose(pipe);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  return result;
}

class Races : public testing::TestWithParam<const char*> {};

std::string name_of(const testing::TestParamInfo<const char*>& info) {
  return info.param;
}

#ifndef __SANITIZE_THREAD__  // which sees the same races before they do harm
void expect_caught(const char* race, unsigned seed) {
  const Result result =
      run(race, "wrong", "--rounds 1000000 --seconds 20 --seed " + std::to_string(seed));
  EXPECT_EQ(result.exit_code, 1) << "seed " << seed << "\n" << result.output;
}

TEST_P(Races, WrongVariantIsCaughtWithinSeconds) {
  for (unsigned seed = 1; seed <= 8; ++seed) expect_caught(GetParam(), seed);
}

TEST_P(Races, WrongVariantIsCaughtWithARandomSeed) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  expect_caught(GetParam(), seed);
}
#endif

TEST_P(Races, RightVariantPassesEveryRound) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  const std::string rounds = "1000";
#else
  const std::string rounds = "10000";
#endif
  const Result result = run(GetParam(), "right", "--rounds " + rounds);
  std::printf("%s", result.output.c_str());
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_NE(result.output.find(rounds + " rounds right"), std::string::npos) << result.output;
}

constexpr const char* kRaces[] = {
#define RACE(name, wrong, right) #name,
#include "races.def"
#undef RACE
};
INSTANTIATE_TEST_SUITE_P(All, Races, testing::ValuesIn(kRaces), name_of);

}  // namespace
