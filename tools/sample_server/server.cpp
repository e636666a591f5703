#include "server.h"

#include <algorithm>
#include <set>
#include <thread>

#include "output_digest.h"
#include "paged_kv.h"
#include "slot_kv.h"

namespace sample_server {
namespace {

StepShape step_shape(const Options& options, std::span<const TraceRequest> requests) {
  std::size_t longest = 0;
  for (const TraceRequest& request : requests) {
    longest = std::max<std::size_t>(longest, scaled_input(request, options.scale_tokens) +
                                                 scaled_output(request, options.scale_tokens));
  }
  return {options.step_tokens, options.max_running,
          (longest + options.block_tokens - 1) / options.block_tokens};
}

}  // namespace

Server::Server(Gpu& gpu, const Options& options, std::span<const TraceRequest> requests)
    : gpu_(gpu),
      options_(options),
      waiting_(requests),
      memory_at_start_(gpu.memory()),
      input_stream_(gpu.create_stream()),
      compute_stream_(gpu.create_stream()),
      output_stream_(gpu.create_stream()),
      inputs_there_(gpu.create_event()),
      computed_(gpu.create_event()),
      outputs_there_(gpu.create_event()),
      step_(step_shape(options, requests)),
      weights_(gpu, options.model, options.seed),
      inputs_(gpu, step_, options.block_tokens),
      workspace_(gpu, options.model, step_),
      kv_shape_(size_kv()),
      kv_(gpu, compute_stream_, options.model, kv_shape_),
      decoder_(gpu, options.model, step_, weights_, kv_, inputs_, workspace_, options.graphs),
      logits_(gpu, 2 * step_.sequences * options.model.vocabulary, "logits"),
      next_tokens_(gpu, step_.sequences, "next tokens"),
      kv_manager_(make_kv_manager()),
      scheduler_(*kv_manager_, {options.max_running, options.step_tokens}) {
  if (!options.kv_log.empty()) {
    kv_log_.open(options.kv_log);
    if (!kv_log_) throw TraceError("--kv-log: " + options.kv_log + " cannot be written");
  }
  gpu_.synchronise();
  result_.gpu = gpu.name();
  result_.memory_at_start = memory_at_start_;
  result_.footprint = {weights_.bytes(), kv_.bytes(), workspace_.bytes() + inputs_.bytes()};
  result_.kv_blocks = kv_shape_.blocks;
}

// By utilisation: what the GPU's memory is to be filled with, less what is in use, this server's
// weights and workspace included.
KvShape Server::size_kv() const {
  std::size_t tokens = options_.kv_tokens;
  if (options_.gpu_memory_utilization > 0) {
    const GpuMemory memory = gpu_.memory();
    const auto filled = static_cast<std::size_t>(options_.gpu_memory_utilization *
                                                 static_cast<double>(memory.total));
    const std::size_t in_use = memory.total - memory.free;
    const std::size_t bytes = filled > in_use ? filled - in_use : 0;
    tokens = bytes / options_.model.kv_bytes_per_token();
  }
  const std::size_t blocks = tokens / options_.block_tokens;
  if (blocks == 0) {
    throw GpuError(GpuErrorKind::out_of_memory,
                   "no memory is left for even one block of KV: raise --gpu-memory-utilization, or "
                   "give --kv-tokens");
  }
  return {options_.kv_layout, options_.block_tokens, blocks};
}

std::unique_ptr<KvManager> Server::make_kv_manager() const {
  if (options_.contiguous) {
    return std::make_unique<SlotKv>(kv_shape_.blocks, kv_shape_.block_tokens, options_.max_running);
  }
  return std::make_unique<PagedKv>(kv_shape_.blocks, kv_shape_.block_tokens);
}

RunResult Server::run() {
  start_ = Sequence::Clock::now();
  std::vector<Output> undigested;
  while (!waiting_.empty() || scheduler_.in_flight() > 0) {
    take_in_requests();
    const std::vector<StepPart> step = scheduler_.next_step();
    if (step.empty()) continue;  // every request taken in was refused
    // Launches first, so that the digest of the last step's outputs costs no time of the GPU's.
    std::vector<Output> outputs = compute(step);
    digest(undigested);
    gpu_.synchronise(outputs_there_);
    for (Output& output : outputs) output.token = next_tokens_[output.row];
    hand_out(outputs);
    undigested = std::move(outputs);
    half_ = 1 - half_;
  }
  digest(undigested);
  result_.elapsed = Sequence::Clock::now() - start_;
  result_.scheduler = scheduler_.counts();
  result_.graphs = decoder_.graph_count();
  result_.digest = digest_of(sequences_);
  return std::move(result_);
}

void Server::take_in_requests() {
  while (!waiting_.empty()) {
    const TraceRequest& request = waiting_.front();
    if (options_.replay_speed > 0) {
      const auto due = start_ + std::chrono::duration_cast<Sequence::Clock::duration>(
                                    request.timestamp / options_.replay_speed);
      if (Sequence::Clock::now() < due) {
        if (scheduler_.in_flight() > 0) return;
        std::this_thread::sleep_until(due);
      }
    } else if (scheduler_.in_flight() >= options_.max_running) {
      return;
    }
    submit(request);
    waiting_ = waiting_.subspan(1);
  }
}

void Server::submit(const TraceRequest& request) {
  const std::size_t input = scaled_input(request, options_.scale_tokens);
  const std::size_t output = scaled_output(request, options_.scale_tokens);
  if (input + output > kv_manager_->longest_sequence()) {
    ++result_.refused;
    return;
  }
  Sequence& sequence = sequences_.emplace_back();
  sequence.id = sequences_.size();
  sequence.tokens = prompt_tokens(request, options_.scale_tokens,
                                  static_cast<std::uint32_t>(options_.model.vocabulary));
  sequence.prompt_length = input;
  sequence.output_length = output;
  sequence.submitted = Sequence::Clock::now();
  start_digest(sequence);
  scheduler_.submit(sequence);
}

// Enqueues a step; its outputs are there after the event outputs_there_.
std::vector<Server::Output> Server::compute(std::span<const StepPart> step) {
  std::vector<Output> outputs;
  inputs_.clear();
  for (std::size_t line = 0; line < step.size(); ++line) {
    const StepPart& part = step[line];
    inputs_.set_blocks(line, kv_manager_->blocks(part.sequence->id));
    for (std::size_t i = part.first; i < part.first + part.count; ++i) {
      inputs_.add_row(part.sequence->tokens[i], i, line);
    }
    if (part.yields_token()) outputs.push_back({part.sequence, inputs_.want_logits(), 0});
  }
  if (kv_log_.is_open()) log_blocks(step);
  inputs_.copy_in(gpu_, input_stream_, step.size());
  gpu_.record(inputs_there_, input_stream_);

  gpu_.wait(compute_stream_, inputs_there_);
  decoder_.enqueue_step(inputs_.rows(), inputs_.logit_rows(), compute_stream_);
  gpu_.record(computed_, compute_stream_);

  gpu_.wait(output_stream_, computed_);
  if (!outputs.empty()) {
    const std::size_t vocabulary = options_.model.vocabulary;
    gpu_.copy_out(next_tokens_.data(), workspace_.next_tokens, outputs.size() * sizeof(TokenId),
                  output_stream_);
    gpu_.copy_out(logits_.data() + half_ * step_.sequences * vocabulary, workspace_.logits,
                  outputs.size() * vocabulary * sizeof(float), output_stream_);
  }
  gpu_.record(outputs_there_, output_stream_);
  return outputs;
}

void Server::log_blocks(std::span<const StepPart> step) {
  std::set<BlockId> used;
  for (const StepPart& part : step) {
    const auto blocks = kv_manager_->blocks(part.sequence->id);
    const std::size_t tokens = part.first + part.count;
    const std::size_t count = (tokens + kv_shape_.block_tokens - 1) / kv_shape_.block_tokens;
    used.insert(blocks.begin(), blocks.begin() + static_cast<std::ptrdiff_t>(count));
  }
  for (const BlockId block : used) kv_log_ << block << ' ';
  kv_log_ << std::endl;  // whoever reads along wants whole steps
}

void Server::hand_out(std::span<const Output> outputs) {
  const auto now = Sequence::Clock::now();
  const auto seconds = [](Sequence::Clock::duration duration) {
    return std::chrono::duration<double>(duration).count();
  };
  for (const Output& output : outputs) {
    Sequence& sequence = *output.sequence;
    sequence.tokens.push_back(output.token);
    sequence.last_token = now;
    ++result_.output_tokens;
    if (sequence.generated() == 1) {
      sequence.first_token = now;
      result_.ttft.push_back(seconds(now - sequence.submitted));
    }
    if (!sequence.complete()) continue;
    if (sequence.generated() > 1) {
      result_.tpot.push_back(seconds(now - sequence.first_token) /
                             static_cast<double>(sequence.generated() - 1));
    }
    scheduler_.finish(sequence);
    ++result_.requests;
  }
}

// The outputs of the step before the one that `half_` belongs to.
void Server::digest(std::span<const Output> outputs) {
  const std::size_t vocabulary = options_.model.vocabulary;
  const float* logits = logits_.data() + (1 - half_) * step_.sequences * vocabulary;
  for (const Output& output : outputs) {
    add_output(*output.sequence, logits + output.row * vocabulary, vocabulary, output.token);
  }
}

}  // namespace sample_server
