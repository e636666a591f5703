#include "context.h"

#include <algorithm>

#include "engine/thread_state.h"
#include "machine.h"

namespace simgpu {
namespace {

unsigned long long next_context_id = 1;

bool is_blocking(const Stream& stream) {
  return stream.kind == StreamKind::blocking || stream.kind == StreamKind::per_thread;
}

}  // namespace

Context::Context(Device* owner, unsigned context_flags, bool is_primary, Context* primary_of_green)
    : device(owner),
      flags(context_flags),
      primary(is_primary),
      home(primary_of_green == nullptr ? this : primary_of_green),
      id(next_context_id++) {
  revive();
}

void Context::revive() {
  alive = true;
  error = CUDA_SUCCESS;
  cancelled = false;
  legacy = Stream::create(this, StreamKind::legacy, 0);
  streams.push_back(legacy);
}

std::shared_ptr<Stream> Context::create_stream(StreamKind kind, int priority) {
  const auto ended = std::stable_partition(streams.begin(), streams.end(),
                                           [](const auto& stream) { return !stream->ended(); });
  std::for_each(ended, streams.end(), [](const auto& stream) { stream->join(); });
  streams.erase(ended, streams.end());
  auto stream = Stream::create(this, kind, priority);
  streams.push_back(stream);
  return stream;
}

std::shared_ptr<Stream> Context::resolve(CUstream handle) {
  if (handle == nullptr) {
    handle = thread_state().per_thread_default ? CU_STREAM_PER_THREAD : CU_STREAM_LEGACY;
  }
  if (handle == CU_STREAM_LEGACY) return legacy;
  if (handle == CU_STREAM_PER_THREAD) {
    auto& stream = per_thread_[std::this_thread::get_id()];
    if (stream == nullptr) stream = create_stream(StreamKind::per_thread, 0);
    return stream;
  }
  return machine()->streams.find(handle);
}

void Context::wake_streams() {
  for (const auto& stream : streams) stream->wake();
}

bool Context::idle() const {
  return std::all_of(streams.begin(), streams.end(), [](const auto& s) { return s->idle(); });
}

OperationPtr Context::record_everything() {
  if (recorder_ == nullptr) recorder_ = create_stream(StreamKind::non_blocking, 0);
  return recorder_->submit(EmptyWork{}, pending());
}

std::vector<OperationPtr> Context::pending() const {
  std::vector<OperationPtr> operations;
  for (const auto& stream : streams) {
    if (!stream->idle()) operations.push_back(stream->last());
  }
  return operations;
}

std::vector<OperationPtr> Context::pending_blocking() const {
  std::vector<OperationPtr> operations;
  for (const auto& stream : streams) {
    if (is_blocking(*stream) && !stream->idle()) operations.push_back(stream->last());
  }
  return operations;
}

bool Context::blocking_stream_is_capturing() const {
  return std::any_of(streams.begin(), streams.end(), [](const auto& stream) {
    return is_blocking(*stream) && stream->capture != nullptr;
  });
}

void Context::synchronize(std::unique_lock<std::mutex>& lock) {
  const std::vector<OperationPtr> operations = pending();
  machine()->wait(lock, [&] {
    return std::all_of(operations.begin(), operations.end(), [](const auto& o) { return o->done; });
  });
  if (const auto& costs = machine()->costs) {
    for (const OperationPtr& operation : operations) costs->observed(lock, *machine(), *operation);
  }
}

void Context::destroy(std::unique_lock<std::mutex>& lock) {
  alive = false;
  ending_ = true;
  if (error != CUDA_SUCCESS) cancelled = true;
  const auto ending = streams;
  for (const auto& stream : ending) stream->finish();
  machine()->wait(lock, [&] {
    return std::all_of(ending.begin(), ending.end(), [](const auto& s) { return s->ended(); });
  });
  for (const auto& stream : ending) stream->join();
  streams.clear();
  per_thread_.clear();
  recorder_ = nullptr;
  for (const auto& stream : ending)
    machine()->streams.take(reinterpret_cast<CUstream>(stream.get()));
  while (!peers.empty()) forget_peer(*peers.begin());
  for (Context* other : machine()->live_contexts()) other->forget_peer(this);
  device->heap.release_all(this);
  machine()->imports.close_all(this);
  ending_ = false;
  machine()->completed.notify_all();
}

void Context::wait_while_ending(std::unique_lock<std::mutex>& lock) {
  machine()->wait(lock, [&] { return !ending_; });
}

void Context::forget_peer(Context* peer) {
  if (peers.erase(peer) == 0) return;
  auto gives_access = [&](const Context* other) {
    return other->device == device &&
           std::any_of(other->peers.begin(), other->peers.end(),
                       [&](const Context* known) { return known->device == peer->device; });
  };
  const auto live = machine()->live_contexts();
  if (gives_access(this) || std::any_of(live.begin(), live.end(), gives_access)) return;
  peer->device->heap.set_peer(device->ordinal, false);
}

Context* current_context() {
  const auto& stack = thread_state().contexts;
  return stack.empty() ? nullptr : stack.back();
}

}  // namespace simgpu
