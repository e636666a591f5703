#include "cost/costs.h"

#include "machine.h"

namespace simgpu {
namespace {

constexpr double microsecond = 1e-6, giga = 1e9;

}  // namespace

Costs::Costs(const Profile& settings) : profile(settings) {
  if (profile.clock == Profile::Clock::real_time) {
    real_clock_ = std::make_unique<RealClock>(profile);
  } else {
    timeline_ = std::make_unique<Timeline>(profile);
  }
}

void Costs::submitted(Operation& operation, const Operation* previous, const Machine& machine) {
  if (timeline_ == nullptr) return;
  operation.task = std::make_shared<Task>();
  Task& task = *operation.task;
  if (previous != nullptr && !previous->settled()) task.after.push_back(previous->task);
  for (const OperationPtr& other : operation.after) {
    if (!other->settled()) task.after.push_back(other->task);
  }
  if (const auto* copy = std::get_if<CopyWork>(&operation.work)) {
    task.phases.push_back(phase_of(*copy, profile, machine));
    task.known = true;
  } else if (const auto* set = std::get_if<MemsetWork>(&operation.work)) {
    task.phases.push_back(phase_of(*set, profile, machine));
    task.known = true;
  } else if (std::holds_alternative<EmptyWork>(operation.work)) {
    task.known = true;
  }
  timeline_->submit(operation.task);
}

void Costs::executed(Recorder& recorder) {
  if (real_clock_ != nullptr) real_clock_->sleep_through(recorder.phases);
}

void Costs::ended(Operation& operation, Recorder& recorder) {
  if (operation.task == nullptr || operation.task->known) return;
  operation.task->phases = std::move(recorder.phases);
  operation.task->known = true;
}

void Costs::observed(std::unique_lock<std::mutex>& lock, Machine& machine,
                     const Operation& operation) {
  if (timeline_ == nullptr || operation.task == nullptr) return;
  const TaskPtr task = operation.task;
  machine.wait(lock, [&] { return timeline_->reach(*task); });
}

double Costs::between(const Operation& begin, const Operation& end) const {
  if (timeline_ != nullptr) return end.task->ended - begin.task->ended;
  return std::chrono::duration<double>(end.finished - begin.finished).count() * profile.scale;
}

double Costs::now() const {
  return timeline_ != nullptr ? timeline_->host() : real_clock_->now();
}

double Costs::launch() const {
  return profile.launch_call_us * microsecond;
}

double Costs::create(const CUmemAllocationProp& properties, std::size_t size) const {
  return properties.location.type == CU_MEM_LOCATION_TYPE_DEVICE
             ? profile.create_device_us * microsecond
             : pin(size);
}

double Costs::pin(std::size_t size) const {
  return static_cast<double>(size) / (profile.create_pin_GBps * giga);
}

double Costs::map() const {
  return (profile.map_call_us + profile.map_handle_us) * microsecond;
}

double Costs::set_access(std::size_t handles) const {
  return (profile.set_access_call_us + profile.set_access_handle_us * handles) * microsecond;
}

double Costs::unmap(std::size_t handles) const {
  return (profile.unmap_call_us + profile.unmap_handle_us * handles) * microsecond;
}

}  // namespace simgpu
