#include "cost/timeline.h"

#include <algorithm>
#include <limits>

namespace simgpu {
namespace {

constexpr double forever = std::numeric_limits<double>::infinity();
// From so many on, a submission computes what it can, so that nothing piles up unobserved.
constexpr std::size_t many_tasks = 1024;

bool may_start(const Task& task) {
  return std::all_of(task.after.begin(), task.after.end(),
                     [](const TaskPtr& other) { return other->state == Task::State::ended; });
}

std::size_t index_of(Engine engine) {
  return static_cast<std::size_t>(engine);
}

}  // namespace

void Timeline::submit(const TaskPtr& task) {
  task->submitted = host_;
  tasks_.push_back(task);
  if (tasks_.size() < many_tasks) return;
  while (now_ < host_ && step(host_)) {
  }
}

bool Timeline::reach(const Task& task) {
  while (task.state != Task::State::ended) {
    if (!step(forever)) return false;
  }
  host_ = std::max(host_, task.ended);
  return true;
}

// One change, or as much time as passes before the next. False when neither is possible.
bool Timeline::step(double until) {
  if (start_and_end()) return true;
  if (unknown_) return false;
  double next = now_ + fluid_.until_change();
  for (const TaskPtr& task : tasks_) {
    if (task->state == Task::State::waiting && may_start(*task)) {
      next = std::min(next, task->submitted);
    }
  }
  next = std::min(next, until);
  if (next == forever) return false;
  fluid_.pass(next - now_);
  now_ = next;
  return true;
}

// All that happens at this moment; false when nothing does.
bool Timeline::start_and_end() {
  bool changed = false;
  unknown_ = false;
  for (auto next = tasks_.begin(); next != tasks_.end();) {
    const auto it = next++;
    Task& task = **it;
    if (task.state == Task::State::waiting && task.submitted <= now_ && may_start(task)) {
      task.state = Task::State::running;
      task.after.clear();
      changed = true;
    }
    if (task.state != Task::State::running) continue;
    changed |= advance_phase(task);
    if (!task.phases.empty()) continue;
    if (task.known) {
      task.state = Task::State::ended;
      task.ended = now_;
      tasks_.erase(it);
      changed = true;
    } else if (!task.open) {
      unknown_ = true;
    }
  }
  return changed;
}

// Ends phases that have drawn all, and begins the next where its engine is free.
bool Timeline::advance_phase(Task& task) {
  bool changed = false;
  while (!task.phases.empty()) {
    Phase& phase = task.phases.front();
    if (!task.drawing) {
      const std::size_t engine = index_of(phase.engine);
      if (phase.engine != Engine::none) {
        auto& queue = queue_[engine];
        if (std::find(queue.begin(), queue.end(), &task) == queue.end()) queue.push_back(&task);
        if (on_engine_[engine] != nullptr || queue.front() != &task) return changed;
        queue.pop_front();
        on_engine_[engine] = &task;
      }
      fluid_.add(&phase.demand);
      task.drawing = changed = true;
    }
    if (!Fluid::exhausted(phase.demand)) return changed;
    finish_phase(task);
    changed = true;
  }
  return changed;
}

void Timeline::finish_phase(Task& task) {
  Phase& phase = task.phases.front();
  fluid_.remove(&phase.demand);
  if (phase.engine != Engine::none) on_engine_[index_of(phase.engine)] = nullptr;
  task.drawing = false;
  task.phases.pop_front();
}

}  // namespace simgpu
