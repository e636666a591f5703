// Traces as files: whole, cut off, and with bytes that are not what was written.
#include <sys/stat.h>

#include "trace_file.h"

namespace vhbm::recording {
namespace {

using std::chrono::nanoseconds;

std::vector<Record> many(std::size_t count) {
  std::vector<Record> made;
  std::uint64_t noise = 1;
  for (std::size_t i = 0; i < count; ++i) {
    uses one{i, 0, {}};
    for (int k = 0; k < 40; ++k) {
      noise = noise * 6364136223846793005u + 1442695040888963407u;
      one.list.push_back(noise >> 40);
    }
    made.push_back({nanoseconds(i), one});
  }
  made.push_back({nanoseconds(count), end{"over"}});
  return made;
}

using Trace = TraceFile;

TEST_F(Trace, ComesBackAsItWas) {
  const auto records = many(60'000);  // of several blocks, with records that are in two of them
  write(records);
  const Read made = read();
  ASSERT_TRUE(made.status.ok()) << made.status.message();
  EXPECT_EQ(made.records, records);
  EXPECT_EQ(made.cut_off, std::nullopt);
  const auto reader = TraceReader::open(path_);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reader->header(), header());
  EXPECT_EQ(reader->header().option("policy"), "next_use");
}

TEST_F(Trace, IsItsOwnersAlone) {
  write(many(1));
  struct stat made {};
  ASSERT_EQ(stat(path_.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0600u);
}

TEST_F(Trace, DoesNotOverwriteWithoutBeingToldTo) {
  put("a file of somebody's");
  TraceWriter writer;
  const Status refused = writer.open(path_, header(), false);
  EXPECT_EQ(refused.code(), Errc::system_error);
  EXPECT_EQ(refused.message(), path_ + ": cannot be written: File exists");
  EXPECT_EQ(content(), "a file of somebody's");
  EXPECT_FALSE(writer.open("/dev/null", header(), true).ok());
}

TEST_F(Trace, ThatIsCutOffAnywhereReadsUpToThere) {
  const auto records = many(300);
  TraceWriter writer;
  ASSERT_TRUE(writer.open(path_, header(), true).ok());
  const std::size_t begin = writer.written().value;
  for (const Record& record : records) {  // a block each
    std::string bytes;
    append(record, bytes);
    ASSERT_TRUE(*writer.write(bytes, gib(1)));
  }
  writer.close();
  const std::string whole = content();
  std::size_t most = 0;
  for (std::size_t size = begin; size < whole.size(); size += 97) {
    put(whole.substr(0, size));
    const Read made = read();
    ASSERT_TRUE(made.status.ok()) << size << ": " << made.status.message();
    ASSERT_TRUE(made.cut_off) << size;
    EXPECT_NE(made.cut_off->find("byte "), std::string::npos);
    ASSERT_LE(made.records.size(), records.size());
    EXPECT_TRUE(std::equal(made.records.begin(), made.records.end(), records.begin()));
    EXPECT_GE(made.records.size(), most);
    most = made.records.size();
  }
  EXPECT_GT(most, 290u);
}

TEST_F(Trace, WithAnyByteChangedIsRefusedWhereItIsWrong) {
  write(many(200));
  const std::string whole = content();
  const auto begin = static_cast<std::size_t>(whole.find("\x28\xb5\x2f\xfd"));
  ASSERT_NE(begin, std::string::npos);
  std::size_t refused = 0, tried = 0;
  for (std::size_t at = begin; at < whole.size(); at += 41) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x55);
    put(changed);
    const Read made = read();
    ++tried;
    if (made.status.ok()) {
      // What makes the block seem longer than the file reads as cut off there.
      EXPECT_TRUE(made.cut_off) << at;
      EXPECT_TRUE(made.records.empty()) << at;
      continue;
    }
    ++refused;
    EXPECT_EQ(made.status.code(), Errc::bytes_corrupted);
    EXPECT_TRUE(made.status.message().starts_with(path_ + ": byte " + std::to_string(begin) + ": "))
        << made.status.message();
  }
  EXPECT_GT(refused, tried / 2);
}

TEST_F(Trace, ThatIsNoneIsRefusedWithTheReason) {
  const auto why = [&](const std::string& file) {
    put(file);
    return read().status.message();
  };
  EXPECT_EQ(why(""), path_ + ": byte 0: this is no trace of vHBM's: `vhbm record` writes one");
  EXPECT_EQ(why("{\"traceEvents\":[]}"),
            path_ + ": byte 0: this is no trace of vHBM's: `vhbm record` writes one");
  const std::string good = written(header());
  EXPECT_EQ(why(good.substr(0, good.size() - 3)),
            path_ + ": byte " + std::to_string(good.size() - 3) + ": the header is cut off");
  std::string later = good;
  later.replace(later.find("\"version\":1"), 11, "\"version\":7");
  EXPECT_EQ(why(later), path_ + ": byte 19: version 7 of the format is not known here: expected 1");
  std::string without = good;
  without.replace(without.find("\"pid\""), 5, "\"pit\"");
  EXPECT_EQ(why(without), path_ + ": byte 19: the header's \"pid\" is missing or of another type");
  std::string small = good;
  small.replace(small.find("2097152"), 7, "2097153");
  EXPECT_NE(why(small).find("chunk_size = 2097153 is not accepted: expected a multiple of 2 MiB"),
            std::string::npos);
  std::filesystem::remove(path_);
  EXPECT_EQ(read().status.message(), path_ + ": cannot be read: No such file or directory");
}

}  // namespace
}  // namespace vhbm::recording
