// Foresees what will be used next, from what was: a program that repeats itself is where it was
// when it last did the same things. In the sequence of uses by each thread it finds the place whose
// past is most like the present; what followed there is what comes. That place moves along for as
// long as it is right, so the longer a likeness holds, the more is known: the last of thirty rounds
// is told from the first. Where it is wrong, another place is looked for. No driver, no clock: the
// same uses give the same answers. Locking: the caller's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/residency.h"
#include "runtime/use_log.h"

namespace vhbm {

class Steps {
 public:
  // Of each thread so many uses are remembered.
  explicit Steps(std::size_t remembered = 1 << 16) : remembered_(remembered) {}

  void used(Use use);
  // Uses were missed: what follows does not continue what came before.
  void interrupted();
  // Says when every region is expected to be used, as of so many uses from now: what is used sooner
  // is past when anybody can act on it. Good until the next call.
  void look_ahead(std::uint64_t lead = 0);
  [[nodiscard]] Expectation of(std::uint32_t region) const {
    return region < expected_.size() ? expected_[region] : Expectation{};
  }
  // How often a region was used, where what is long past counts little.
  [[nodiscard]] std::uint64_t frequency(std::uint32_t region) const {
    return region < frequency_.size() ? frequency_[region] : 0;
  }
  // How often it was ever, on whatever thread.
  [[nodiscard]] std::uint64_t uses(std::uint32_t region) const {
    return region < uses_.size() ? uses_[region] : 0;
  }
  // So many uses were seen, and foreseen right before they came.
  [[nodiscard]] std::uint64_t seen() const { return seen_; }
  [[nodiscard]] std::uint64_t foreseen() const { return foreseen_; }

 private:
  // Alike are places before which so many uses were the same; longer likenesses are better.
  static constexpr std::array<std::uint64_t, 3> likenesses{32, 6, 1};
  static constexpr std::size_t most_lanes = 32, places = 1 << 14;
  static constexpr std::uint64_t nowhere = UINT64_MAX;

  struct Likeness {
    std::uint64_t hash = 0;             // of the last uses
    std::vector<std::uint64_t> latest;  // by hash: the place after uses that had it
  };
  struct Lane {
    std::vector<std::uint32_t> uses;  // a ring, once it is full
    std::uint64_t count = 0;          // ever
    std::uint64_t begin = 0;          // uses before are not of one piece with what follows
    std::uint64_t follows = nowhere;  // the place that is like the present
    std::array<Likeness, likenesses.size()> by_length;
  };
  [[nodiscard]] std::uint32_t at(const Lane& lane, std::uint64_t place) const {
    return lane.uses[place % remembered_];
  }
  [[nodiscard]] bool remembers(const Lane& lane, std::uint64_t place) const {
    return place + remembered_ > lane.count;
  }
  void append(Lane& lane, std::uint32_t region);
  [[nodiscard]] std::uint64_t find_likeness(const Lane& lane) const;
  [[nodiscard]] bool alike(const Lane& lane, std::uint64_t place, std::uint64_t length) const;
  void look_ahead(const Lane& lane, std::uint64_t lead);
  void count(std::uint32_t region);

  const std::size_t remembered_;
  std::array<std::unique_ptr<Lane>, most_lanes> lanes_;
  std::vector<Expectation> expected_;
  std::vector<std::uint64_t> frequency_, uses_;
  std::uint64_t seen_ = 0, foreseen_ = 0;
};

}  // namespace vhbm
