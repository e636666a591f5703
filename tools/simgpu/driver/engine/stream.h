// Streams, the operations in them, and events. A stream is a thread that takes its operations in
// order; an operation also waits for the operations named in `after`, which is how events and the
// legacy default stream order work across streams. Locking: everything here is read and changed
// under the machine's lock; work runs outside it.
#pragma once

#include <cuda.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/work.h"

namespace simgpu {

class Context;
struct Machine;
struct Capture;
struct Node;
struct Task;

struct Operation {
  Work work;
  std::vector<std::shared_ptr<Operation>> after;
  // What the nodes of a graph record: each ends with its node, or with this operation.
  std::vector<std::shared_ptr<Operation>> records;
  bool done = false;
  std::chrono::steady_clock::time_point finished;
  std::shared_ptr<Task> task;  // its place on the virtual clock, where there is one

  bool ready() const {
    for (const auto& other : after) {
      if (!other->done) return false;
    }
    return true;
  }
  // Nothing that is submitted now has to come after it. Work that really is done may not be on the
  // virtual clock.
  bool settled() const;
  void end() {
    done = true;
    after.clear();
    finished = std::chrono::steady_clock::now();
  }
};
using OperationPtr = std::shared_ptr<Operation>;

enum class StreamKind { legacy, per_thread, blocking, non_blocking };

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  static std::shared_ptr<Stream> create(Context* context, StreamKind kind, int priority);

  // Adds an operation after all before it, after those in `after`, and in the order that the legacy
  // default stream imposes. Never blocks.
  OperationPtr submit(Work work, std::vector<OperationPtr> after = {});

  // Lets what is queued run out, then ends the thread.
  void finish();
  void wake() { wake_.notify_all(); }

  bool idle() const { return last_ == nullptr || last_->settled(); }
  // Told to finish, and nothing left to do: ended() follows shortly.
  bool ending() const { return finishing_ && queue_.empty() && !ended_; }
  bool ended() const { return ended_; }
  // After ended(): the thread needs no lock any more, and is gone when this returns. Whoever lets
  // go of a stream calls it, so that no thread is still on its way out when the process ends.
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  const OperationPtr& last() const { return last_; }

  Context* const context;
  const StreamKind kind;
  const int priority;
  const unsigned long long id;

  // Set while the stream takes part in a capture: what the next captured node depends on.
  std::shared_ptr<Capture> capture;
  std::vector<Node*> frontier;

 private:
  Stream(Context* owner, StreamKind kind, int priority);
  void run();
  WorkResult run_one(Operation& operation, Machine& owner);  // without the lock

  std::thread thread_;
  std::condition_variable wake_;
  std::deque<OperationPtr> queue_;
  OperationPtr last_;
  bool finishing_ = false, ended_ = false;
};

struct Event {
  Context* context = nullptr;
  unsigned flags = 0;
  OperationPtr recorded;
  // Set when last recorded in a capture.
  std::shared_ptr<Capture> capture;
  std::vector<Node*> frontier;
};

}  // namespace simgpu
