// Options: every accepted form, and refusals that a user can act on.
#include "runtime/options.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "runtime/option_table.h"

namespace vhbm {
namespace {

Result<Options> parsed(const std::map<std::string, std::string>& environment) {
  return Options::from_environment([&](const char* variable) -> const char* {
    const auto found = environment.find(variable);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(Sizes, AreReadWithAndWithoutAUnit) {
  EXPECT_EQ(parse_size("4096"), Size::of(Bytes{4096}));
  EXPECT_EQ(parse_size("8GiB"), Size::of(gib(8)));
  EXPECT_EQ(parse_size(" 512 MiB "), Size::of(mib(512)));
  EXPECT_EQ(parse_size("1.5g"), Size::of(mib(1536)));
  EXPECT_EQ(parse_size("2K"), Size::of(kib(2)));
  EXPECT_EQ(parse_size("1TiB"), Size::of(gib(1024)));
  EXPECT_EQ(parse_size("0"), Size::of(Bytes{0}));
  EXPECT_EQ(parse_size("75%"), Size::percent(75));
  EXPECT_EQ(parse_size("auto"), Size::automatic());
}

TEST(Sizes, RefuseWhatIsNotASize) {
  for (const char* text :
       {"", "GiB", "-1", "8 bananas", "8GB/s", "101%", "1e30T", "0x10", "8GiBGiB"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(Sizes, TakeAShareWithoutOverflow) {
  EXPECT_EQ(Size::percent(75).resolve(gib(8), {}), gib(6));
  EXPECT_EQ(Size::percent(100).resolve({~0ull}, {}), Bytes{~0ull});
  EXPECT_EQ(Size::automatic().resolve(gib(8), mib(3)), mib(3));
}

TEST(RemoteAddresses, AreReadAndWrittenBack) {
  EXPECT_EQ(*parse_remote_address("redis://cache"), (RemoteAddress{"cache", 6379, "", "", 0}));
  EXPECT_EQ(*parse_remote_address("redis://vhbm@10.0.0.7:7000/3"),
            (RemoteAddress{"10.0.0.7", 7000, "", "vhbm", 3}));
  EXPECT_EQ(*parse_remote_address("redis://[::1]:7000"), (RemoteAddress{"::1", 7000, "", "", 0}));
  EXPECT_EQ(parse_remote_address("unix:///run/valkey.sock")->socket, "/run/valkey.sock");
  EXPECT_TRUE(parse_remote_address("")->is_none());
  for (const char* text : {"redis://cache:6379", "redis://vhbm@10.0.0.7:7000/3",
                           "redis://[::1]:7000", "unix:///run/valkey.sock", ""}) {
    EXPECT_EQ(write_remote_address(*parse_remote_address(text)), text);
  }
}

TEST(RemoteAddresses, RefuseWhatIsNone) {
  for (const char* text :
       {"cache:6379", "redis://", "redis://cache:0", "redis://cache:70000",
        "redis://cache:", "redis://cache/x", "redis://[::1", "redis://[::1]7000", "redis://@cache",
        "redis://user:secret@cache", "rediss://cache", "unix://run/valkey.sock", "unix:///"}) {
    EXPECT_EQ(parse_remote_address(text), std::nullopt) << text;
  }
}

TEST(Options, AreTheDefaultsInAnEmptyEnvironment) {
  const auto options = parsed({});
  ASSERT_TRUE(options.ok());
  EXPECT_FALSE(options->disable);
  EXPECT_TRUE(options->hbm_limit.is_automatic());
  EXPECT_EQ(options->min_region_size, Size::of(mib(2)));
  EXPECT_EQ(options->policy, "lru");
  EXPECT_EQ(options->stall_limit.value, 10u);
}

TEST(Options, ComeFromTheEnvironment) {
  const auto options = parsed({{"VHBM_HBM_LIMIT", "8GiB"},
                               {"VHBM_HOST_LIMIT", "50%"},
                               {"VHBM_DISABLE", "1"},
                               {"VHBM_REPORT", "virtual"},
                               {"VHBM_QUIESCE_DEADLINE", "0.01 s"},
                               {"VHBM_STALL_LIMIT", "5%"},
                               {"VHBM_STATE_DIR", "/tmp/state"}});
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->hbm_limit, Size::of(gib(8)));
  EXPECT_EQ(options->host_limit, Size::percent(50));
  EXPECT_TRUE(options->disable);
  EXPECT_EQ(options->report, Report::virtual_memory);
  EXPECT_EQ(options->quiesce_deadline, std::chrono::milliseconds(10));
  EXPECT_EQ(options->stall_limit.value, 5u);
  EXPECT_EQ(options->state_dir, "/tmp/state");
}

TEST(Options, AreRefusedNamingVariableValueAndWhatIsAccepted) {
  const std::map<std::string, std::string> wrong = {
      {"VHBM_HBM_LIMIT", "lots"},       {"VHBM_DISABLE", "perhaps"}, {"VHBM_REPORT", "lies"},
      {"VHBM_PAGER_INTERVAL", "0ms"},   {"VHBM_STALL_LIMIT", "0"},   {"VHBM_CHUNK_SIZE", "3MiB"},
      {"VHBM_QUIESCE_DEADLINE", "soon"}};
  for (const auto& [variable, value] : wrong) {
    const auto options = parsed({{variable, value}});
    ASSERT_FALSE(options.ok()) << variable;
    EXPECT_EQ(options.status().code(), Errc::invalid_value);
    const std::string& message = options.status().message();
    EXPECT_NE(message.find(variable), std::string::npos) << message;
    EXPECT_NE(message.find(value), std::string::npos) << message;
    EXPECT_NE(message.find("expected "), std::string::npos) << message;
  }
}

TEST(Options, AreReadBackAsTheyAreWritten) {
  const Options defaults;
  for (const OptionRow& row : option_rows()) {
    Options options;
    EXPECT_TRUE(row.read(row.write(defaults), options)) << row.name;
    EXPECT_EQ(row.write(options), row.write(defaults)) << row.name;
  }
  for (const char* text : {"auto", "0", "1B", "4095B", "4KiB", "1536MiB", "3TiB", "7%", "100%"}) {
    Options options;
    ASSERT_EQ(set_option(option_rows()[find_option("hbm_limit")], text, {}, options), std::nullopt);
    EXPECT_EQ(option_rows()[find_option("hbm_limit")].write(options), text);
  }
}

TEST(Options, EachHaveADescription) {
#define OPTION(type, name, initial, text) EXPECT_GT(std::string(text).size(), 10u) << #name;
#include "runtime/options.def"
#undef OPTION
}

}  // namespace
}  // namespace vhbm
