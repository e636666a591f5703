#include "engine/stream.h"

#include <optional>

#include "context.h"
#include "cost/costs.h"
#include "engine/fuzzer.h"
#include "engine/kernel_runs.h"
#include "engine/time_slice.h"
#include "machine.h"

namespace simgpu {
namespace {

unsigned long long next_stream_id = 1;

bool context_cancelled(const void* context) {
  // Read without the lock: a late answer only lets the kernel spin once more.
  return static_cast<const Context*>(context)->cancelled.load(std::memory_order_relaxed);
}

}  // namespace

Stream::Stream(Context* owner, StreamKind stream_kind, int stream_priority)
    : context(owner), kind(stream_kind), priority(stream_priority), id(next_stream_id++) {}

bool Operation::settled() const {
  return done && (task == nullptr || task->state == Task::State::ended);
}

std::shared_ptr<Stream> Stream::create(Context* context, StreamKind kind, int priority) {
  std::shared_ptr<Stream> stream(new Stream(context, kind, priority));
  stream->thread_ = std::thread([raw = stream.get()] { raw->run(); });
  return stream;
}

OperationPtr Stream::submit(Work work, std::vector<OperationPtr> after) {
  auto add = [&](const std::vector<OperationPtr>& others) {
    after.insert(after.end(), others.begin(), others.end());
  };
  if (kind == StreamKind::legacy) {
    add(context->pending_blocking());
  } else if (kind != StreamKind::non_blocking && !context->legacy->idle()) {
    after.push_back(context->legacy->last());
  }
  auto operation = std::make_shared<Operation>();
  operation->work = std::move(work);
  operation->after = std::move(after);
  if (const auto& costs = machine()->costs) {
    costs->submitted(*operation, last_.get(), *machine());
  }
  queue_.push_back(operation);
  last_ = operation;
  wake_.notify_all();
  return operation;
}

void Stream::finish() {
  finishing_ = true;
  wake_.notify_all();
}

WorkResult Stream::run_one(Operation& operation, Machine& owner) {
  ExecutionSite site{&context_cancelled, context, context->device->ordinal};
  const auto kernels = KernelRuns::begin();
  site.kernels = kernels.get();
  if (owner.costs == nullptr) {
    const WorkResult result = execute(operation.work, site);
    if (kernels != nullptr) kernels->tell(*this);
    return result;
  }
  Recorder recorder(owner.costs->profile, operation.task);
  site.recorder = &recorder;
  WorkResult result = WorkResult::completed;
  {
    std::optional<TimeSlice> slice;
    if (owner.costs->sleeps()) slice.emplace(*context->device, operation.work);
    result = execute(operation.work, site);
    owner.costs->executed(recorder);
    if (kernels != nullptr && owner.costs->sleeps()) kernels->last_as_slept(recorder);
  }
  if (kernels != nullptr) kernels->tell(*this);
  const auto lock = owner.lock();
  owner.costs->ended(operation, recorder);
  return result;
}

void Stream::run() {
  Machine& owner = *machine();
  auto lock = owner.lock();
  for (;;) {
    wake_.wait(lock, [this] { return !queue_.empty() || finishing_; });
    if (queue_.empty()) break;
    OperationPtr operation = queue_.front();
    wake_.wait(lock, [&] { return operation->ready(); });
    WorkResult result = WorkResult::completed;
    if (context->error == CUDA_SUCCESS) {
      lock.unlock();
      result = run_one(*operation, owner);
      operation->work = EmptyWork{};  // lets go of modules and staging outside the lock
      lock.lock();
      if (owner.faults.device_lost_after_this_work()) {
        for (auto& device : owner.devices) {
          if (device->primary != nullptr) device->primary->fail(CUDA_ERROR_LAUNCH_FAILED);
        }
        for (auto& other : owner.contexts) other->fail(CUDA_ERROR_LAUNCH_FAILED);
      }
    }
    if (result == WorkResult::illegal_address) context->fail(CUDA_ERROR_ILLEGAL_ADDRESS);
    if (operation->task != nullptr) operation->task->known = true;
    operation->end();
    for (const auto& record : operation->records) {
      if (!record->done) record->end();
    }
    operation->records.clear();
    queue_.pop_front();
    owner.completed.notify_all();
    owner.wake_streams();
  }
  ended_ = true;
  owner.completed.notify_all();
}

}  // namespace simgpu
