// KV layouts: those that come along, how a file is read, and what does not fit a kernel.
#include "runtime/kv_layout.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "runtime/kv_layout_file.h"
#include "runtime/kv_layouts.h"

namespace vhbm {
namespace {

const std::string whole = R"(
server = "a server"
version = "1.2"
cure = "--larger"

[[kernel]]
name = "attend_*"
form = "table"
keys = "2"
values = "3"
block_bytes = "argument 0 * 64"
block_tokens = 16
table = "1 + 8"
table_stride = "argument 1 + 16: uint32"
lengths = "1"
sequences = "grid.y"
)";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

// What is said of a text, all lines together.
std::string refusals(const std::string& text) {
  KvLayout layout;
  std::string all;
  for (const std::string& line : read_kv_layout(text, "x.toml", layout)) all += line + "\n";
  return all;
}

TEST(KvLayouts, ThatComeAlongAreAllAccepted) {
  std::set<std::string> names;
  for (const BuiltInKvLayout& one : built_in_kv_layouts()) {
    KvLayout layout;
    EXPECT_EQ(read_kv_layout(one.text, one.name, layout), std::vector<std::string>()) << one.name;
    EXPECT_FALSE(layout.version.empty()) << one.name;
    EXPECT_FALSE(layout.cure.empty()) << one.name;
    names.insert(one.name);
  }
  for (const auto& entry : std::filesystem::directory_iterator(SOURCE_DIR "/config/kv-layouts")) {
    EXPECT_EQ(names.count(entry.path().stem().string()), 1u) << entry.path();
  }
  EXPECT_EQ(names.size(), 4u);
}

TEST(KvLayouts, AreReadAsTheyAreWritten) {
  KvLayout layout;
  ASSERT_EQ(read_kv_layout(whole, "x.toml", layout), std::vector<std::string>());
  EXPECT_EQ(layout.server, "a server");
  EXPECT_EQ(layout.cure, "--larger");
  EXPECT_FALSE(layout.tried);
  ASSERT_EQ(layout.kernels.size(), 1u);
  const KvKernel& kernel = layout.kernels[0];
  EXPECT_EQ(kernel.keys, (KvPlace{2, 0}));
  EXPECT_EQ(*kernel.table, (KvPlace{1, 8}));
  EXPECT_EQ(written(kernel.block_bytes), "argument 0 * 64");
  EXPECT_EQ(written(kernel.table_stride), "argument 1 + 16: uint32");
  EXPECT_EQ(kernel.block_stride, kernel.block_bytes);
  EXPECT_EQ(kernel.value_bytes, kernel.block_bytes);

  std::int32_t first = 3;
  struct {
    std::uint64_t lengths = 0, table = 0;
    std::uint32_t stride = 7;
  } second;
  void* parameters[] = {&first, &second};
  const KvLaunchShape launch{parameters, {1, 5, 1}};
  EXPECT_EQ(kernel.block_bytes.of(launch), 192u);
  EXPECT_EQ(kernel.table_stride.of(launch), 7u);
  EXPECT_EQ(kernel.sequences.of(launch), 5u);
  first = -1;
  EXPECT_EQ(kernel.block_bytes.of(launch), std::nullopt);
}

TEST(KvLayouts, AreRefusedAtTheirLine) {
  EXPECT_EQ(
      refusals(replaced(whole, "keys = \"2\"", "keys = \"two\"")),
      "x.toml:9: keys = \"two\" is not accepted: expected where an argument is, such as \"2\" "
      "(the third), or \"5 + 40\" (40 bytes into the sixth)\n");
  EXPECT_EQ(refusals(replaced(whole, "lengths =", "length =")),
            "x.toml:15: key \"length\" of [[kernel]] is not known: did you mean lengths?\n");
  EXPECT_EQ(refusals(replaced(whole, "lengths = \"1\"\n", "")),
            "x.toml:6: lengths of [[kernel]] is missing, which form = \"table\" needs: of the "
            "sequences, in order\n");
  EXPECT_EQ(refusals(replaced(whole, "grid.y", "grid.y * \\\"")).find("x.toml:16: sequences = "),
            0u);
  EXPECT_EQ(refusals(replaced(whole, "form = \"table\"", "form = \"tables\"")),
            "x.toml:8: form = \"tables\" is not accepted: expected table, slots, pages or "
            "contiguous\n");
  EXPECT_EQ(refusals(replaced(whole, "sequences = ", "indptr = \"4\"\nsequences = ")),
            "x.toml:16: indptr is no key of a [[kernel]] of form = \"table\"\n");
  EXPECT_EQ(refusals(replaced(whole, "server = \"a server\"", "")),
            "x.toml: server is missing: expected whose kernels these are\n");
  EXPECT_EQ(refusals("server = \"a\"\n"),
            "x.toml: there is no [[kernel]]: expected one at least\n");
  EXPECT_EQ(refusals("server = \"a\"\n[[kernels]]\nname = \"b\"\n"),
            "x.toml:2: [[kernels]] is not known: expected [[kernel]]\n");
  EXPECT_NE(refusals("server = a\n").find("x.toml:1: "), std::string::npos);
}

TEST(KvLayouts, AreFoundByNameByFileAndByFolder) {
  const std::string folder = testing::TempDir() + "kv-layouts." + std::to_string(getpid());
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/one.toml") << whole;
  std::ofstream(folder + "/not-one.txt") << "?";
  const auto all = KvLayouts::load("vllm, " + folder + "," + folder + "/one.toml");
  ASSERT_TRUE(all.ok()) << all.status().message();
  EXPECT_EQ((*all)->all().size(), 3u);
  EXPECT_EQ(KvLayouts::load("vlm").status().code(), Errc::invalid_value);
  EXPECT_NE(KvLayouts::load("vlm").status().message().find("sample-server"), std::string::npos);
  std::filesystem::remove_all(folder);
}

TEST(KvLayouts, MatchAKernelByItsNameAndTellWhatDoesNotFit) {
  const std::string file = testing::TempDir() + "kv-layout." + std::to_string(getpid()) + ".toml";
  std::ofstream(file) << whole;
  const auto all = KvLayouts::load(file);
  std::filesystem::remove(file);
  ASSERT_TRUE(all.ok()) << all.status().message();
  KvLayouts& layouts = **all;
  KvMatch* const fits = layouts.match("attend_16", {4, 24, 8, 8});
  ASSERT_NE(fits, nullptr);
  EXPECT_EQ(fits, layouts.match("attend_16", {4, 24, 8, 8}));
  EXPECT_EQ(layouts.match("attend", {4, 24, 8, 8}), nullptr);
  EXPECT_EQ(layouts.match("attend_16", {4, 16, 8, 8}), nullptr);
  ASSERT_EQ(layouts.matches().size(), 3u);
  EXPECT_EQ(layouts.matches()[2]->fits[0].misfit,
            "table_stride is at argument 1 + 16 and has 4 bytes, but that parameter has 16 in all");
  EXPECT_EQ(layouts.match("attend_16", {4, 24, 8}), nullptr);
  EXPECT_EQ(layouts.matches()[3]->fits[0].misfit,
            "values is at argument 3, but the kernel has 3 parameters");
}

TEST(KvPatterns, TakeAnyLettersForAStar) {
  EXPECT_TRUE(matches("attention_*", "attention_16"));
  EXPECT_TRUE(matches("*cache*kernel*", "_ZN4vllm16some_cache_flash_kernelIffE"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("a*b*c", "abbc"));
  EXPECT_FALSE(matches("a*b*c", "abbcd"));
  EXPECT_FALSE(matches("attention", "attention_16"));
  EXPECT_FALSE(matches("", "x"));
}

}  // namespace
}  // namespace vhbm
