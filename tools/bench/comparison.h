// The same calls timed natively and with vHBM, over several rounds: what each takes, what was
// added, and how that is shown. Pure: it reads what the benchmark program wrote and starts nothing.
//
// A call's figures are those of its least disturbed round: other work on the machine only ever adds
// (a neighbour on the same core multiplies every row by up to 1.8, for seconds at a time). What the
// medians of the rounds add stands beside them, and is what the limit is held against.
#pragma once

#include <string>
#include <vector>

namespace vhbm::bench {

struct Row {
  std::string driver, call;
  std::vector<double> native_ns, with_ns;  // one a round

  [[nodiscard]] double native() const;  // of the least disturbed round
  [[nodiscard]] double with_vhbm() const;
  [[nodiscard]] double added() const { return with_vhbm() - native(); }
  [[nodiscard]] double median_added() const;
  [[nodiscard]] double ratio() const { return with_vhbm() / native(); }
  // Launches are what the design bounds.
  [[nodiscard]] bool is_launch() const { return call.rfind("cuLaunchKernel", 0) == 0; }
};

[[nodiscard]] double median(std::vector<double> values);

class Comparison {
 public:
  enum class Run { native, with_vhbm };

  explicit Comparison(double most_added_ns) : most_added_ns_(most_added_ns) {}

  // Takes in one run's JSON, as Google Benchmark writes it. False, with the reason, when it cannot
  // be read, has no calls, or vHBM was not where it should be (or was where it should not).
  [[nodiscard]] bool add(const std::string& driver, Run run, const std::string& json,
                         std::string* why_not);

  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] std::string to_json() const;
  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }

 private:
  Row& row(const std::string& driver, const std::string& call);
  [[nodiscard]] const char* verdict(const Row& row) const;

  const double most_added_ns_;
  std::vector<Row> rows_;
};

}  // namespace vhbm::bench
