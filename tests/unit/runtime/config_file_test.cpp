// The configuration file: what it may say, which source wins, and refusals that a user can act on.
#include "runtime/config_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <regex>
#include <string>

#include "runtime/option_table.h"
#include "runtime/options.h"

namespace vhbm {
namespace {

using Environment = std::map<std::string, std::string>;

const KnownWords words = {{"policy", {"lru", "clock"}}};

Result<Options> load(const Environment& environment) {
  const auto look_up = [&](const char* variable) -> const char* {
    const auto found = environment.find(variable);
    return found == environment.end() ? nullptr : found->second.c_str();
  };
  return Options::from_environment(look_up, words);
}

// A file that is there for as long as the test is.
class ConfigFile : public ::testing::Test {
 protected:
  ~ConfigFile() override { std::filesystem::remove(path_); }

  const std::string& write(const std::string& text) const {
    std::ofstream(path_) << text;
    return path_;
  }
  // The one line that a file of this text is refused with, without the folder it is in.
  std::string refusal(const std::string& text) const {
    const auto options = load({{"VHBM_CONFIG", write(text)}});
    EXPECT_FALSE(options.ok()) << text;
    if (options.ok()) return {};
    EXPECT_EQ(options.status().code(), Errc::invalid_value);
    const std::string& message = options.status().message();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_EQ(message.rfind(path_, 0), 0u) << message;
    return message.substr(path_.size());
  }

  const std::string path_ = testing::TempDir() + "vhbm-config." + std::to_string(getpid()) +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(ConfigFile, MaySayAValueAsTextAsANumberOrAsASwitch) {
  const auto options = load({{"VHBM_CONFIG", write(R"(
hbm_limit = "8GiB"
host_limit = "75%"
min_region_size = 4_096
window_size = 0x100000
disable = true
report = "virtual"
quiesce_deadline = 7
pager_interval = "2s"
stall_limit = "5%"
copy_rate = "8GiB/s"
policy = "clock"
log = "debug"
state_dir = "/tmp/a folder"
)")}});
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->hbm_limit, Size::of(gib(8)));
  EXPECT_EQ(options->host_limit, Size::percent(75));
  EXPECT_EQ(options->min_region_size, Size::of({4096}));
  EXPECT_EQ(options->window_size, Size::of(mib(1)));
  EXPECT_TRUE(options->disable);
  EXPECT_EQ(options->report, Report::virtual_memory);
  EXPECT_EQ(options->quiesce_deadline, std::chrono::milliseconds(7));
  EXPECT_EQ(options->pager_interval, std::chrono::seconds(2));
  EXPECT_EQ(options->stall_limit, Percent{5});
  EXPECT_EQ(options->copy_rate, Rate{gib(8).value});
  EXPECT_EQ(options->policy, "clock");
  EXPECT_EQ(options->log, LogLevel::debug);
  EXPECT_EQ(options->state_dir, "/tmp/a folder");
}

TEST_F(ConfigFile, IsStrongerThanADefaultAndWeakerThanTheEnvironment) {
  const std::string& path = write("\nhbm_limit = \"8GiB\"\nhost_limit = \"9GiB\"\n");
  const auto options = load({{"VHBM_CONFIG", path}, {"VHBM_HOST_LIMIT", "10GiB"}});
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->hbm_limit, Size::of(gib(8)));
  EXPECT_EQ(options->host_limit, Size::of(gib(10)));
  EXPECT_EQ(options->min_region_size, Size::of(mib(2)));

  EXPECT_EQ(options->origin(OptionId::hbm_limit).kind, Origin::Kind::file);
  EXPECT_EQ(options->origin(OptionId::hbm_limit).place, path + ":2");
  EXPECT_EQ(options->origin(OptionId::host_limit).kind, Origin::Kind::environment);
  EXPECT_EQ(options->origin(OptionId::host_limit).place, "VHBM_HOST_LIMIT");
  EXPECT_EQ(options->origin(OptionId::min_region_size).kind, Origin::Kind::preset);
  EXPECT_EQ(options->origin(OptionId::min_region_size).place, "");
}

TEST_F(ConfigFile, MayBeEmptyOrNotNamedAtAll) {
  EXPECT_TRUE(load({{"VHBM_CONFIG", write("")}}).ok());
  EXPECT_TRUE(load({{"VHBM_CONFIG", write("# nothing\n")}}).ok());
  EXPECT_TRUE(load({{"VHBM_CONFIG", ""}}).ok());
}

TEST_F(ConfigFile, IsRefusedNamingFileLineKeyValueAndWhatIsAccepted) {
  EXPECT_EQ(
      refusal("# a limit\n\nhbm_limit = \"8 gigs\"\n"),
      ":3: hbm_limit = \"8 gigs\" is not accepted: expected a size such as 8GiB, 512MiB or 4096 "
      "(bytes), a share such as 75%, or auto");
  EXPECT_EQ(refusal("hbm_limit = -1"),
            ":1: hbm_limit = -1 is not accepted: expected a size such as 8GiB, 512MiB or 4096 "
            "(bytes), a share such as 75%, or auto");
  EXPECT_EQ(
      refusal("disable = 2"),
      ":1: disable = 2 is not accepted: expected 1 or 0, true or false, on or off, yes or no");
  EXPECT_EQ(refusal("report = true"),
            ":1: report = true is not accepted: expected physical or virtual");
  EXPECT_EQ(
      refusal("chunk_size = \"3MiB\""),
      ":1: chunk_size = \"3MiB\" is not accepted: expected 2MiB times a power of two, at most "
      "1GiB");
  EXPECT_EQ(refusal("log = \"loud\""),
            ":1: log = \"loud\" is not accepted: expected trace, debug, info, warn, error or off");
}

TEST_F(ConfigFile, IsRefusedWhereAValueIsOfAKindThatNoOptionHas) {
  EXPECT_EQ(refusal("stall_limit = 1.5"),
            ":1: stall_limit = 1.5 is not accepted: expected 1% to 100%");
  EXPECT_EQ(refusal("stall_limit = 2026-01-02"),
            ":1: stall_limit = 2026-01-02 is not accepted: expected 1% to 100%");
  EXPECT_EQ(refusal("stall_limit = [1,\n2]"),
            ":1: stall_limit = [...] is not accepted: expected 1% to 100%");
  EXPECT_EQ(refusal("[stall_limit]\nvalue = 1"),
            ":1: stall_limit = {...} is not accepted: expected 1% to 100%");
}

TEST_F(ConfigFile, TellsTheWordsThatTheCallerKnows) {
  EXPECT_EQ(refusal("policy = \"guess\""),
            ":1: policy = \"guess\" is not accepted: expected lru or clock");
  const auto options = load({{"VHBM_POLICY", "guess"}});
  ASSERT_FALSE(options.ok());
  EXPECT_EQ(options.status().message(),
            "VHBM_POLICY=\"guess\" is not accepted: expected lru or clock");
}

TEST_F(ConfigFile, SuggestsTheOptionThatWasMeant) {
  EXPECT_EQ(refusal("hbm_limt = 1"),
            ":1: option \"hbm_limt\" is not known: did you mean hbm_limit?");
  EXPECT_EQ(refusal("\n\nhost-limit = 1"),
            ":3: option \"host-limit\" is not known: did you mean host_limit?");
  EXPECT_EQ(
      refusal("favourite_colour = 1"),
      ":1: option \"favourite_colour\" is not known: `vhbm config options` lists what there is");
  EXPECT_EQ(refusal("[vhbm]\nhbm_limit = 1"),
            ":1: option \"vhbm\" is not known: options stand at the top, in no table");
}

TEST_F(ConfigFile, IsRefusedAtTheLineThatIsNoToml) {
  for (const auto& [text, line] : std::map<std::string, std::string>{
           {"log = \"info\"\nhbm_limit = [8GiB]\n", ":2: cannot be understood: "},
           {"hbm_limit: 8\n", ":1: cannot be understood: "},
           {"\n\nlog = \"info\nhbm_limit = 1", ":3: cannot be understood: "},
           {"log = \"info\"\nlog = \"warn\"\n", ":2: cannot be understood: "},
           {"log = \"\xff\"\n", ":1: cannot be understood: "}}) {
    const std::string message = refusal(text);
    EXPECT_EQ(message.substr(0, line.size()), line) << text << message;
    EXPECT_GT(message.size(), line.size() + 10) << message;
  }
}

TEST_F(ConfigFile, SuggestsTheQuotesThatAreMissing) {
  EXPECT_EQ(refusal("log = 'info'\n  hbm_limit = 8GiB # of 80"),
            ":2: hbm_limit = 8GiB cannot be understood: did you mean hbm_limit = \"8GiB\"?");
  EXPECT_EQ(
      refusal("state_dir = /run/vhbm"),
      ":1: state_dir = /run/vhbm cannot be understood: did you mean state_dir = \"/run/vhbm\"?");
  EXPECT_EQ(refusal("log = 1\nlog = 2").find("did you mean"), std::string::npos);
  EXPECT_EQ(refusal("log =").find("did you mean"), std::string::npos);
}

TEST_F(ConfigFile, IsRefusedHoweverDeepItNests) {
  const auto repeated = [](const std::string& part, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += part;
    return text;
  };
  for (const std::string& text :
       {repeated("a.", 200'000) + "a = 1", std::string("[") + repeated("a . ", 100'000) + "a]",
        std::string("log = ") + repeated("[", 200'000) + repeated("]", 200'000),
        std::string("log = ") + repeated("{a=", 100'000) + "1" + repeated("}", 100'000)}) {
    EXPECT_EQ(refusal(text).substr(0, 26), ":1: cannot be understood: ");
  }
  EXPECT_TRUE(load({{"VHBM_CONFIG", write("# " + std::string(500, '.') + " limits\n")}}).ok());
}

TEST_F(ConfigFile, MayHaveAnyLetterInTextAndComments) {
  const auto options = load({{"VHBM_CONFIG", write("\xef\xbb\xbf# größer als nötig: 'so \"\r\n"
                                                   "state_dir = \"/tmp/größe\" # é\r\n"
                                                   "log = 'info'\n")}});
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->state_dir, "/tmp/größe");
  EXPECT_EQ(options->log, LogLevel::info);
  EXPECT_EQ(refusal("\"größe\" = 1").substr(0, 14), ":1: option \"gr");
  EXPECT_EQ(refusal("log = 'info'\n\n größe = 1").substr(0, 26), ":3: cannot be understood: ");
  EXPECT_EQ(refusal("log = 'info'\u2003").substr(0, 26), ":1: cannot be understood: ");
  EXPECT_EQ(refusal("log = \"\"\"\\ \n \u00e9a\"\"\""),
            ":2: cannot be understood: a continued line begins with a letter beyond ASCII");
}

TEST_F(ConfigFile, IsRefusedWhereItCannotBeRead) {
  const auto message = [](const std::string& path) {
    const auto options = load({{"VHBM_CONFIG", path}});
    return options.ok() ? "" : options.status().message();
  };
  EXPECT_EQ(message("/no/such.toml"), "/no/such.toml: cannot be read: No such file or directory");
  EXPECT_EQ(message("/tmp"), "/tmp: cannot be read: Is a directory");
  EXPECT_EQ(message("/dev/zero"), "/dev/zero: is too large: expected at most 1MiB");
}

TEST_F(ConfigFile, ShowsWhatIsWrongOnOneLineHoweverItIsWritten) {
  EXPECT_EQ(refusal("report = \"one\\ntwo\\u0007\""),
            ":1: report = \"one\\ntwo\\u0007\" is not accepted: expected physical or virtual");
  const std::string message = refusal("hbm_limit = \"" + std::string(5000, 'x') + "\"");
  EXPECT_LT(message.size(), 250u);
  EXPECT_NE(message.find("xxx...\""), std::string::npos) << message;
}

TEST_F(ConfigFile, HasEveryRefusalForWhoAsksForAll) {
  Options options;
  const auto refusals = read_config_text(
      "log = 1\nreport = 2\n[[tag]]\nis = \"kv\"\nheld = 3\nisnt = 4\n", "f", words, options);
  ASSERT_EQ(refusals.size(), 4u);
  EXPECT_EQ(refusals[0].substr(0, 11), "f:1: log = ");
  EXPECT_EQ(refusals[1].substr(0, 14), "f:2: report = ");
  EXPECT_EQ(refusals[2].substr(0, 12), "f:5: held = ");
  EXPECT_EQ(refusals[3].substr(0, 5), "f:6: ");
  EXPECT_NE(refusal("log = 1\nreport = 2\ndisable = 3")
                .find("(`vhbm config check " + path_ + "` shows 2 more)"),
            std::string::npos);
}

TEST_F(ConfigFile, GivesRulesOfTagsInTheirOrder) {
  const auto options = load({{"VHBM_CONFIG", write(R"(
[[tag]]
min_size = "1GiB"
is = "kv"

[[tag]]
min_size = 4096
max_size = "64MiB"
is = "weights"
held = false

[[tag]]
held = true
)")}});
  ASSERT_TRUE(options.ok()) << options.status().message();
  const std::vector<TagRule> expected = {{gib(1), {UINT64_MAX}, Tag::kv, false},
                                         {{4096}, mib(64), Tag::weights, false},
                                         {{0}, {UINT64_MAX}, std::nullopt, true}};
  EXPECT_EQ(options->tag_rules, expected);
}

TEST_F(ConfigFile, RefusesRulesOfTagsThatSayNothingOrTheWrongThing) {
  const std::string bytes =
      " is not accepted: expected a size such as 8GiB, 512MiB or 4096 (bytes)";
  EXPECT_EQ(refusal("[[tag]]\nis = \"kv\"\nmin_size = \"5%\""), ":3: min_size = \"5%\"" + bytes);
  EXPECT_EQ(refusal("[[tag]]\nis = \"kv\"\nmax_size = \"auto\""),
            ":3: max_size = \"auto\"" + bytes);
  EXPECT_EQ(refusal("[[tag]]\nis = \"cache\""),
            ":2: is = \"cache\" is not accepted: expected weights, kv, workspace or other");
  EXPECT_EQ(refusal("[[tag]]\nis = \"kv\"\nmin-size = 5"),
            ":3: key \"min-size\" of [[tag]] is not known: did you mean min_size?");
  EXPECT_EQ(refusal("[[tag]]\nis = \"kv\"\ncolour = 5"),
            ":3: key \"colour\" of [[tag]] is not known: expected min_size, max_size, is or held");
  EXPECT_EQ(refusal("\n[[tag]]\nis = \"kv\"\nmin_size = 2\nmax_size = 1"),
            ":2: [[tag]] matches nothing: min_size is above max_size");
  EXPECT_EQ(refusal("[[tag]]\nmin_size = 2"),
            ":1: [[tag]] says nothing: expected is = \"weights\" or the like, or held = true");
  EXPECT_EQ(refusal("[[tag]]\nis = \"kv\"\nlog = \"info\""),
            ":3: log is no key of [[tag]]: options stand above the first [[tag]]");
  EXPECT_EQ(refusal("[tag]\nis = \"kv\""),
            ":1: tag is a list of tables: each begins with the line [[tag]]");
  EXPECT_EQ(refusal("[[tags]]\nis = \"kv\""), ":1: [[tags]] is not known: expected [[tag]]");
}

TEST_F(ConfigFile, DoesNotMatterToWhoIsDisabled) {
  const auto disabled = [](const Environment& environment) {
    return Options::disabled_by([&](const char* variable) -> const char* {
      const auto found = environment.find(variable);
      return found == environment.end() ? nullptr : found->second.c_str();
    });
  };
  EXPECT_TRUE(disabled({{"VHBM_DISABLE", "1"}, {"VHBM_CONFIG", "/no/such.toml"}}));
  EXPECT_TRUE(disabled({{"VHBM_DISABLE", "yes"}, {"VHBM_HBM_LIMIT", "plenty"}}));
  EXPECT_FALSE(disabled({{"VHBM_DISABLE", "0"}}));
  EXPECT_FALSE(disabled({{"VHBM_DISABLE", "perhaps"}}));
  EXPECT_FALSE(disabled({}));
}

std::string text_of(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_F(ConfigFile, OfDefaultsDocumentsEveryOptionAndSetsNone) {
  const std::string text = text_of(SOURCE_DIR "/config/default.toml");
  ASSERT_FALSE(text.empty());
  Options options;
  EXPECT_EQ(read_config_text(text, "f", words, options), std::vector<std::string>{});
  for (const Origin& origin : options.origins) EXPECT_EQ(origin.kind, Origin::Kind::preset);
  EXPECT_TRUE(options.tag_rules.empty());

  // The same with the # taken away from the lines to change, which turns each into what it was.
  static const std::regex commented("(^|\n)# (\\[\\[tag\\]\\]|[a-z_]+ = )");
  const std::string set = std::regex_replace(text, commented, "$1$2");
  EXPECT_EQ(read_config_text(set, "f", {}, options), std::vector<std::string>{});
  const Options defaults;
  for (std::size_t id = 0; id < option_count; ++id) {
    const OptionRow& row = option_rows()[id];
    EXPECT_EQ(options.origins[id].kind, Origin::Kind::file) << row.name << " is missing";
    EXPECT_EQ(row.write(options), row.write(defaults)) << row.name;
    EXPECT_NE(text.find(row.accepted), std::string::npos) << row.name;
  }
  EXPECT_EQ(options.tag_rules.size(), 1u);
}

TEST_F(ConfigFile, OfEveryExampleInTheDocumentationIsAccepted) {
  const std::string text = text_of(SOURCE_DIR "/docs/configuration.md");
  int examples = 0;
  for (std::size_t at = 0; (at = text.find("```toml\n", at)) != std::string::npos; ++examples) {
    at += 8;
    Options options;
    const std::string example = text.substr(at, text.find("```", at) - at);
    EXPECT_EQ(read_config_text(example, "f", {}, options), std::vector<std::string>{}) << example;
  }
  EXPECT_GE(examples, 3);
}

// Whatever is done to the bytes of a good file, it is accepted or refused in lines that name it.
TEST_F(ConfigFile, IsNeverTheEndOfTheProcess) {
  const std::string good =
      "# comment\nhbm_limit = \"8GiB\"\nhost_limit = 4096\ndisable = false\nstall_limit = '10%'\n"
      "[[tag]]\nmin_size = \"1MiB\"\nis = \"weights\"\n[[tag]]\nheld = true\nmax_size = 0x10\n";
  Options options;
  ASSERT_TRUE(read_config_text(good, "f", words, options).empty());
  std::mt19937 random(20240131);
  const auto below = [&](std::size_t n) { return random() % n; };
  int accepted = 0, refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = good;
    for (std::size_t changes = 1 + below(6); changes != 0 && !text.empty(); --changes) {
      const std::size_t at = below(text.size());
      static constexpr std::string_view telling = "[]{}\"'=.,\n\r#\\u0-_+eTZ:\t ";
      static constexpr const char* odd[] = {
          "\u00e9", "\u2003", "\u2028",     "\xff",      "\"\"\"",  "'''", "1979-05-27T07:32:00.5Z",
          "-inf",   "1e99",   "[1, [2.5]]", "{a.b = 1}", "\\u00e9", "\r\n"};
      switch (below(6)) {
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text[at] = telling[below(telling.size())];
          break;
        case 2:
          text.erase(at, below(8));
          break;
        case 3:
          text.insert(at, text.substr(below(text.size()), below(30)));
          break;
        case 4:
          text.insert(at, std::string(below(400), telling[below(telling.size())]));
          break;
        case 5:
          text.insert(at, odd[below(std::size(odd))]);
          break;
      }
    }
    Options mutated;
    const auto refusals = read_config_text(text, "f", words, mutated);
    ++(refusals.empty() ? accepted : refused);
    for (const std::string& line : refusals) {
      ASSERT_EQ(line.rfind("f:", 0), 0u) << line;
      ASSERT_EQ(line.find('\n'), std::string::npos) << line;
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(refused, 10'000);
}

}  // namespace
}  // namespace vhbm
