// The virtual clock: when submitted work starts and ends, computed from what it draws and never
// from how long anything really took. The host's clock moves by what calls cost, and to the end of
// work that it waits for or finds complete.
//
// What a kernel draws is known once it really ran, so time stands still at a kernel that has not.
// Work that may wait for the host (a host function, a kernel that yields) is passed over instead;
// it ends when it really has. Invariant: nothing is submitted earlier than the time computed so
// far. Locking: the machine's lock.
#pragma once

#include <chrono>
#include <deque>
#include <list>
#include <memory>
#include <vector>

#include "cost/fluid.h"

namespace simgpu {

// Copies of one direction take turns on its engine.
enum class Engine { none, to_device, to_host };
inline constexpr std::size_t engine_count = 3;

// A kernel, copy or set: the whole of a plain operation, or one node of a graph.
struct Phase {
  Demand demand;
  Engine engine = Engine::none;
  std::chrono::steady_clock::time_point began, ended;  // on the real clock, once slept through
};

struct Task {
  std::vector<std::shared_ptr<Task>> after;
  std::deque<Phase> phases;  // left to do; the first may be under way
  bool known = false;        // no phase will be added
  bool open = false;         // may wait for the host: nobody waits for it to become known
  enum class State { waiting, running, ended } state = State::waiting;
  double submitted = 0, ended = 0;  // seconds
  bool drawing = false;             // its first phase has its engine
};
using TaskPtr = std::shared_ptr<Task>;

class Timeline {
 public:
  explicit Timeline(const Profile& profile) : fluid_(profile) {}

  void submit(const TaskPtr& task);
  // The calling thread was busy for so long.
  void spend(double seconds) { host_ += seconds; }
  // Lets time pass until the task has ended, and the host's clock with it. False when that needs
  // knowledge of work that did not really run yet: try again when some has.
  [[nodiscard]] bool reach(const Task& task);

  [[nodiscard]] double host() const { return host_; }

 private:
  [[nodiscard]] bool step(double until);
  bool start_and_end();
  bool advance_phase(Task& task);
  void finish_phase(Task& task);

  Fluid fluid_;
  double now_ = 0, host_ = 0;
  std::list<TaskPtr> tasks_;  // not ended, in the order of submission
  const Task* on_engine_[engine_count] = {};
  std::deque<Task*> queue_[engine_count];
  bool unknown_ = false;  // a running task's next phase is not known, and it is not open
};

}  // namespace simgpu
