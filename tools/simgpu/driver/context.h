// A CUDA context: streams, and the error that ends it. Destroyed contexts stay as husks, so that a
// handle kept by the application is recognised.
// Locking: the machine's lock.
#pragma once

#include <cuda.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/stream.h"

namespace simgpu {

struct Device;

class Context {
 public:
  // A green context has streams of its own, and the memory and modules of `primary_of_green`.
  Context(Device* device, unsigned flags, bool primary, Context* primary_of_green = nullptr);

  // The stream a handle of the API means: CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, NULL by the
  // entry's variant, or a created stream of any context. Null when there is none.
  std::shared_ptr<Stream> resolve(CUstream handle);

  std::shared_ptr<Stream> create_stream(StreamKind kind, int priority);
  void wake_streams();
  bool idle() const;
  // Waits until everything submitted before this call has ended. Releases the lock meanwhile.
  void synchronize(std::unique_lock<std::mutex>& lock);
  // Records an event of everything in flight. One stream carries these: whatever an earlier record
  // waits for, a later one waits for too, so standing in line delays none.
  OperationPtr record_everything();
  // The last operation of each stream that is not done: what an event of the context captures.
  std::vector<OperationPtr> pending() const;
  std::vector<OperationPtr> pending_blocking() const;
  bool blocking_stream_is_capturing() const;

  // Ends the streams and frees what belongs to the context. Waits for work in flight, unless the
  // context is in error, whose work is cut short: the lock is released meanwhile.
  void destroy(std::unique_lock<std::mutex>& lock);
  // Returns when no thread is inside destroy(). Whoever may destroy or revive a context that others
  // know too calls this first, and keeps the lock.
  void wait_while_ending(std::unique_lock<std::mutex>& lock);
  // Requires a context that was destroyed, or is new.
  void revive();

  // Ends this one's access to the peer's memory; to its device's, where it was the last.
  void forget_peer(Context* peer);

  void fail(CUresult result) {
    if (error == CUDA_SUCCESS) error = result;
  }

  Device* const device;
  unsigned flags;
  const bool primary;
  Context* const home;  // whose memory and modules it has: its own, as a rule
  unsigned uses = 1;    // cuCtxAttach and cuCtxDetach
  bool alive = true;
  CUresult error = CUDA_SUCCESS;  // sticky
  std::atomic<bool> cancelled{
      false};  // kernels that spin shall end: the context is being destroyed
  const unsigned long long id;
  std::shared_ptr<Stream> legacy;
  std::set<Context*> peers;                      // whose memory this one was given access to
  std::vector<std::shared_ptr<Stream>> streams;  // with legacy; ended ones leave when noticed

 private:
  bool ending_ = false;
  std::unordered_map<std::thread::id, std::shared_ptr<Stream>> per_thread_;
  std::shared_ptr<Stream> recorder_;
};

// Ends a context, and what belongs to it.
void destroy_context(class Call& call, Context* context);

// The calling thread's current context, or null.
Context* current_context();

}  // namespace simgpu
