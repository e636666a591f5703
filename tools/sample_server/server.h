// The server's loop: takes requests in, lets the scheduler say what a step computes, has the GPU do
// it and hands out tokens. Inputs, compute and outputs have a stream each; while the GPU computes a
// step, the host digests what the step before it put out.
#pragma once

#include <deque>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "decoder.h"
#include "options.h"
#include "report.h"
#include "scheduler.h"
#include "trace.h"

namespace sample_server {

class Server {
 public:
  // Allocates everything it will use.
  Server(Gpu& gpu, const Options& options, std::span<const TraceRequest> requests);

  // Serves all requests; to be called once.
  RunResult run();

 private:
  struct Output {
    Sequence* sequence;
    std::size_t row;  // of the step's logits
    TokenId token;
  };

  KvShape size_kv() const;
  std::unique_ptr<KvManager> make_kv_manager() const;
  void take_in_requests();
  void submit(const TraceRequest& request);
  std::vector<Output> compute(std::span<const StepPart> step);
  // The KV blocks that the step reads or writes, as its kernels find them.
  void log_blocks(std::span<const StepPart> step);
  void hand_out(std::span<const Output> outputs);
  void digest(std::span<const Output> outputs);

  Gpu& gpu_;
  const Options& options_;
  std::span<const TraceRequest> waiting_;  // not taken in yet
  RunResult result_;
  GpuMemory memory_at_start_;  // before anything below is allocated
  Stream input_stream_, compute_stream_, output_stream_;
  Event inputs_there_, computed_, outputs_there_;
  StepShape step_;
  Weights weights_;
  StepInputs inputs_;
  Workspace workspace_;
  KvShape kv_shape_;
  KvCache kv_;
  Decoder decoder_;
  PinnedArray<float> logits_;  // of two steps: one being digested, one being computed
  PinnedArray<TokenId> next_tokens_;
  std::size_t half_ = 0;  // of logits_ that the coming step writes
  std::unique_ptr<KvManager> kv_manager_;
  Scheduler scheduler_;
  std::ofstream kv_log_;
  std::deque<Sequence> sequences_;  // all requests taken in, in order
  Sequence::Clock::time_point start_;
};

}  // namespace sample_server
