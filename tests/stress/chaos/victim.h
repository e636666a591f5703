// One process of the chaos and the thread that torments it: starts it, orders it about, stops it,
// kills it, starts it anew, and watches all the while that it works, and how it ends. Invariant:
// whatever it does not survive, or does too late, is harm, unless it was this that did it. Locking:
// one thread.
#pragma once

#include <sys/types.h>

#include <random>
#include <string>

#include "page.h"
#include "process.h"
#include "world.h"

namespace chaos {

struct Setup;

class Victim {
 public:
  Victim(World& world, unsigned index);
  ~Victim();
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;

  // Until the world is over; then it is ended. Harm is reported to the world.
  void torment() noexcept;
  // Starts it, lets it work for a moment, and ends it in order. Throws stress::Harm.
  void live_in_peace();
  // Of the process started last.
  [[nodiscard]] pid_t id() const { return process_; }

 private:
  enum class Meanwhile { nothing, stop };

  void start();
  [[nodiscard]] Program program(int page, int output) const;
  void act();
  void act(Count action);
  void order(const std::string& request, Meanwhile meanwhile = Meanwhile::nothing);
  void stop(std::chrono::milliseconds length);
  void kill();
  void end();
  void corrupt();
  // Watches for so long.
  void wait(std::chrono::milliseconds length);
  // Throws when it hangs; true when it has ended, which it may only do in a proper way.
  bool watch();
  void judge(int status);
  void gone();
  [[nodiscard]] bool may_lose() const;
  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  [[nodiscard]] std::chrono::milliseconds at_most(unsigned ms) {
    return std::chrono::milliseconds(below(ms + 1));
  }
  [[noreturn]] void harm(const std::string& what) const;
  // Looks at the process before.
  [[noreturn]] void hang(const std::string& what) const;
  [[nodiscard]] std::string log() const;

  World& world_;
  const unsigned index_;
  const Setup& setup_;
  std::mt19937_64 random_;
  Page* page_ = nullptr;
  std::uint64_t lives_ = 0;
  pid_t process_ = 0;
  bool alive_ = false;
  std::uint64_t beats_ = 0;        // as seen last
  Clock::time_point beat_at_;      // when they were other than before, less the time it was stopped
  unsigned store_generation_ = 0;  // when it started
  bool harmed_tier_ = false;       // its bytes were changed, or its keys ran out
};

}  // namespace chaos
