// A trace in a file of a test's own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/recording/trace_reader.h"
#include "runtime/recording/trace_writer.h"

namespace vhbm::recording {

class TraceFile : public ::testing::Test {
 protected:
  ~TraceFile() override { std::filesystem::remove(path_); }

  static TraceHeader header() {
    TraceHeader made;
    made.pid = 4711;
    made.command = "server --its \"options\"";
    made.device = 1;
    made.gpu = "NVIDIA H200";
    made.total = gib(141);
    made.chunk_size = mib(2);
    made.hbm_limit = gib(60);
    made.host_limit = gib(200);
    made.native = mib(512);
    made.link_to_hbm = 50'000'000'000;
    made.started_at = 1'800'000'000;
    made.clock_ns = 12345;
    made.options = {{"policy", "next_use"}, {"stall_limit", "10%"}};
    return made;
  }
  void write(const std::vector<Record>& records) {
    TraceWriter writer;
    ASSERT_TRUE(writer.open(path_, header(), true).ok());
    std::string bytes;
    for (const Record& record : records) append(record, bytes);
    const auto written = writer.write(bytes, gib(1));
    ASSERT_TRUE(written.ok() && *written);
  }
  [[nodiscard]] std::string content() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const std::string& content) const { std::ofstream(path_, std::ios::binary) << content; }
  struct Read {
    Status status;
    std::vector<Record> records;
    std::optional<std::string> cut_off;
    std::uint64_t unknown = 0;
  };
  [[nodiscard]] Read read() const {
    Read made;
    auto reader = TraceReader::open(path_);
    if (!reader.ok()) return {reader.status(), {}, {}, 0};
    made.status = reader->read([&](Record& record) {
      made.records.push_back(record);
      return std::string();
    });
    made.cut_off = reader->cut_off();
    made.unknown = reader->unknown();
    return made;
  }

  const std::string path_ = testing::TempDir() + "vhbm-trace." + std::to_string(getpid()) +
                            testing::UnitTest::GetInstance()->current_test_info()->name();
};

}  // namespace vhbm::recording
