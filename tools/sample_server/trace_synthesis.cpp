#include "trace_synthesis.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "random_bits.h"

namespace sample_server {
namespace {

// The standard library's distributions differ between libraries; these do not.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : seed_(seed) {}

  double uniform() {  // in (0, 1)
    return (static_cast<double>(random_bits(seed_, next_++) >> 11) + 0.5) * 0x1p-53;
  }
  double exponential(double mean) { return -mean * std::log(uniform()); }
  std::uint64_t lognormal(std::uint64_t median, double sigma) {
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    const double normal = radius * std::cos(2.0 * std::numbers::pi * uniform());
    const double value = static_cast<double>(median) * std::exp(sigma * normal);
    return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(value));
  }

 private:
  std::uint64_t seed_;
  std::uint64_t next_ = 0;
};

}  // namespace

std::vector<TraceRequest> synthesise_trace(const SynthesisSettings& settings) {
  Dice dice(settings.seed);
  std::uint64_t next_id = 0;

  std::vector<std::uint64_t> system_ids(settings.system_prompt / tokens_per_hash_block);
  for (std::uint64_t& id : system_ids) id = next_id++;

  std::vector<TraceRequest> requests;
  double session_start = 0;
  // Sessions start in order of time, so once the next one starts after the last request wanted, the
  // trace is complete; sorting then takes the first ones.
  const auto complete = [&] {
    if (requests.size() < settings.requests) return false;
    const auto last = static_cast<std::ptrdiff_t>(settings.requests - 1);
    std::nth_element(requests.begin(), requests.begin() + last, requests.end(),
                     [](const auto& a, const auto& b) { return a.timestamp < b.timestamp; });
    return static_cast<double>(requests.begin()[last].timestamp.count()) < session_start * 1000;
  };
  while (!complete()) {
    std::vector<std::uint64_t> full_ids = system_ids;
    std::uint64_t context = system_ids.size() * tokens_per_hash_block;
    double now = session_start;
    do {
      context += dice.lognormal(settings.median_new_input, settings.spread);
      const bool first_turn = full_ids.size() == system_ids.size();
      if (context > settings.longest_context && !first_turn) break;
      context = std::min(context, settings.longest_context);
      TraceRequest request;
      request.timestamp = std::chrono::milliseconds(static_cast<std::int64_t>(now * 1000));
      request.input_length = context;
      request.output_length = dice.lognormal(settings.median_output, settings.spread / 2);
      while (full_ids.size() < context / tokens_per_hash_block) full_ids.push_back(next_id++);
      request.hash_ids = full_ids;
      // The last, partial block is filled up by the next turn: then it is another block.
      if (context % tokens_per_hash_block != 0) request.hash_ids.push_back(next_id++);
      context += request.output_length;
      now += dice.exponential(static_cast<double>(settings.mean_pause.count()));
      requests.push_back(std::move(request));
    } while (dice.uniform() < 1.0 - 1.0 / settings.mean_turns);
    session_start += dice.exponential(settings.mean_turns / settings.requests_per_second);
  }
  std::stable_sort(requests.begin(), requests.end(), [](const auto& a, const auto& b) {
    return a.timestamp != b.timestamp ? a.timestamp < b.timestamp : a.hash_ids < b.hash_ids;
  });
  requests.resize(settings.requests);
  return requests;
}

}  // namespace sample_server
