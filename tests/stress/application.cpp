// Every buffer has one stream at a time, on which all its work is in order, so the shadow can be
// changed as soon as the work is submitted.
#include "application.h"

#include <algorithm>
#include <sstream>

#include "harm.h"
#include "sleep.h"
#include "words.h"

namespace stress {
namespace {

constexpr std::size_t mebibyte = 1 << 20;
constexpr std::size_t most_recordings = 3;
// Small allocations are the driver's and never move, but they press on the limit.
constexpr std::size_t most_small = 2;

}  // namespace

Application::Application(std::uint64_t seed, bool own_context, std::size_t memory,
                         const Weights& weights, Progress& progress)
    : random_(seed),
      next_(weights.begin(), weights.end()),
      own_context_(own_context),
      memory_(memory),
      progress_(progress) {}

void Application::run(std::chrono::steady_clock::time_point end, const std::atomic<bool>& stop) {
  gpu_ = std::make_unique<Gpu>(own_context_);
  while (std::chrono::steady_clock::now() < end && !stop) act();
  if (stop) return;
  check_everything();
  while (!buffers_.empty()) release();
  gpu_->close();
}

void Application::act() {
  Operation next = Operation::allocate;
  if (used_ >= memory_ * 3 / 4) {
    next = static_cast<Operation>(next_(random_));
  }
  progress_.now = next;
  act(next);
  last_ = next;
  ++progress_.done[static_cast<std::size_t>(next)];
}

void Application::act(Operation operation) {
  switch (operation) {
    case Operation::allocate:
      return allocate();
    case Operation::release:
      return release();
    case Operation::remap:
      return gpu_->remap(choose_buffer());
    case Operation::share:
      return gpu_->share(choose_buffer());
    case Operation::sleep:
      // Few are long, or there would be little else.
      return fall_asleep(std::chrono::milliseconds(below(8) == 0 ? below(300) : 0));
    case Operation::record:
      return record();
    case Operation::replay:
      return replay();
    case Operation::change_node:
      return change_node();
    case Operation::change_stream: {
      Buffer& buffer = choose_buffer();
      const auto next = static_cast<unsigned>(below(Gpu::streams));
      gpu_->order(buffer.stream, next);
      buffer.stream = next;
      return;
    }
    case Operation::synchronize:
      return gpu_->wait_for_all();
    case Operation::renew_streams:
      return gpu_->renew_streams();
    case Operation::renew_context:
      return renew_context();
    case Operation::check_copy: {
      const Buffer& buffer = choose_buffer();
      return check_copy(buffer, choose_range(buffer, buffer.shadow.size()));
    }
    case Operation::check_sum: {
      const Buffer& buffer = choose_buffer();
      return check_sum(buffer, choose_range(buffer, buffer.shadow.size()));
    }
    default:
      return edit(operation);
  }
}

void Application::allocate() {
  const bool small = below(8) == 0 && static_cast<std::size_t>(std::count_if(
                                          buffers_.begin(), buffers_.end(), [](const auto& buffer) {
                                            return buffer->bytes() < 2 * mebibyte;
                                          })) < most_small;
  const std::size_t bytes = small ? 4096 + below(64) * 1024 : 2 * mebibyte + below(8 * mebibyte);
  if (used_ + bytes > memory_ || buffers_.size() >= Gpu::slots) return;
  auto buffer = std::make_unique<Buffer>();
  buffer->shadow.resize(bytes / sizeof(std::uint32_t));
  buffer->stream = static_cast<unsigned>(below(Gpu::streams));
  if (!small) buffer->kind = below(2) == 0 ? MemoryKind::plain : static_cast<MemoryKind>(below(3));
  const auto is_taken = [&](unsigned slot) {
    return std::any_of(buffers_.begin(), buffers_.end(),
                       [&](const auto& other) { return other->slot == slot; });
  };
  while (is_taken(buffer->slot)) ++buffer->slot;
  gpu_->allocate(*buffer);
  used_ += buffer->bytes();
  buffers_.push_back(std::move(buffer));
  // New memory holds anything.
  Buffer& made = *buffers_.back();
  const Edit first{Operation::fill, &made, 0, made.shadow.size(),
                   static_cast<std::uint32_t>(random_())};
  submit_in_order({first}, made.stream, nullptr);
}

void Application::release() {
  if (buffers_.empty()) return;
  const std::size_t which = below(buffers_.size());
  Buffer& buffer = *buffers_[which];
  destroy_recordings_of(&buffer);
  gpu_->free(buffer);
  used_ -= buffer.bytes();
  buffers_.erase(buffers_.begin() + static_cast<std::ptrdiff_t>(which));
}

Application::Range Application::choose_range(const Buffer& buffer, std::size_t most) {
  const std::size_t all = buffer.shadow.size();
  const std::size_t first = below(3) == 0 ? 0 : below(all);
  std::size_t count = std::min(all - first, most);
  switch (below(4)) {
    case 0:
      count = 1 + below(std::min<std::size_t>(count, 64));
      break;
    case 1:
    case 2:
      count = 1 + below(count);
      break;
    default:
      break;
  }
  return {first, count};
}

Edit Application::choose_edit(Operation kind) {
  Buffer& buffer = choose_buffer();
  Range range = choose_range(buffer, kind == Operation::copy_in ? Gpu::staging_words : SIZE_MAX);
  Edit edit{kind, &buffer, range.first, range.count, static_cast<std::uint32_t>(random_())};
  if (kind == Operation::linger) {
    edit.rounds = 1 + static_cast<std::uint32_t>(below(below(4) == 0 ? 3000 : 300));
  }
  if (kind == Operation::copy_between || kind == Operation::copy_rows ||
      kind == Operation::copy_batch) {
    edit.source = &choose_buffer();
    if (edit.source == &buffer) {
      // Copies within one buffer might overlap, which the driver leaves undefined.
      edit.kind = Operation::set_words;
      return edit;
    }
    edit.count = std::min(edit.count, edit.source->shadow.size());
    edit.source_first = below(edit.source->shadow.size() - edit.count + 1);
  }
  return edit;
}

void Application::edit(Operation kind) {
  const Edit one = choose_edit(kind);
  submit_in_order({one}, one.buffer->stream, nullptr);
}

void Application::submit_in_order(const std::vector<Edit>& edits, unsigned stream,
                                  CUgraphExec executable) {
  for (const Edit& edit : edits) {
    gpu_->order(edit.buffer->stream, stream);
    edit.buffer->stream = stream;
    if (edit.source != nullptr) gpu_->order(edit.source->stream, stream);
  }
  if (executable != nullptr) {
    gpu_->launch(executable, stream);
  } else {
    for (const Edit& edit : edits) gpu_->submit(edit, stream);
  }
  for (const Edit& edit : edits) {
    if (edit.source != nullptr) gpu_->order(stream, edit.source->stream);
    apply(edit);
  }
}

void Application::record() {
  if (recordings_.size() >= most_recordings) {
    destroy_recordings_of(recordings_.front().edits.front().buffer);
  }
  Recording recording{};
  if (below(2) == 0) {
    for (std::uint64_t left = 1 + below(4); left > 0; --left) {
      recording.edits.push_back(choose_edit(Operation::add));
    }
    recording.built = gpu_->build(recording.edits);
    recording.executable = recording.built.executable;
    recordings_.push_back(std::move(recording));
    return;
  }
  static const std::vector<Operation> kinds = [] {
    std::vector<Operation> all;
    for (unsigned i = 0; i < operation_count; ++i) {
      if (is_recorded(static_cast<Operation>(i))) all.push_back(static_cast<Operation>(i));
    }
    return all;
  }();
  for (std::uint64_t left = 1 + below(6); left > 0; --left) {
    recording.edits.push_back(choose_edit(kinds[below(kinds.size())]));
  }
  // The null stream cannot be captured, nor may others be whose work it would have to wait for.
  const unsigned stream = below(2) == 0 ? Gpu::non_blocking : Gpu::other_non_blocking;
  recording.executable = gpu_->record(recording.edits, stream);
  recordings_.push_back(std::move(recording));
}

void Application::replay() {
  if (recordings_.empty()) return;
  const Recording& recording = recordings_[below(recordings_.size())];
  const auto stream = static_cast<unsigned>(below(Gpu::streams));
  submit_in_order(recording.edits, stream, recording.executable);
}

void Application::change_node() {
  const auto found =
      std::find_if(recordings_.begin(), recordings_.end(),
                   [](const Recording& recording) { return !recording.built.nodes.empty(); });
  if (found == recordings_.end()) return;
  const std::size_t node = below(found->edits.size());
  found->edits[node] = choose_edit(Operation::add);
  gpu_->change(found->built, node, found->edits[node]);
}

void Application::destroy(const Recording& recording) {
  STRESS_CHECK(cuGraphExecDestroy(recording.executable));
  if (recording.built.graph != nullptr) STRESS_CHECK(cuGraphDestroy(recording.built.graph));
}

void Application::destroy_recordings_of(const Buffer* buffer) {
  const auto names = [&](const Edit& edit) {
    return edit.buffer == buffer || edit.source == buffer;
  };
  std::erase_if(recordings_, [&](const Recording& recording) {
    if (std::none_of(recording.edits.begin(), recording.edits.end(), names)) return false;
    destroy(recording);
    return true;
  });
}

void Application::renew_context() {
  // Others still use the primary one. Each renewal costs many operations: not too many of them.
  if (!own_context_ || below(4) != 0) return;
  check_everything();
  for (const Recording& recording : recordings_) destroy(recording);
  recordings_.clear();
  // What belongs to no context does not go with it.
  for (const auto& buffer : buffers_) {
    if (buffer->kind == MemoryKind::plain) {
      Gpu::forget(*buffer);
    } else {
      gpu_->free(*buffer);
    }
  }
  gpu_->close();  // with the others still in it
  buffers_.clear();
  used_ = 0;
  gpu_ = std::make_unique<Gpu>(own_context_);
}

void Application::check_copy(const Buffer& buffer, Range range) {
  const Words words = gpu_->read(buffer, range.first, range.count, below(2) == 0);
  progress_.checked_bytes += range.count * sizeof(std::uint32_t);
  const auto expected = buffer.shadow.begin() + static_cast<std::ptrdiff_t>(range.first);
  const auto [wrong, right] = std::mismatch(words.begin(), words.end(), expected);
  if (wrong == words.end()) return;
  std::ostringstream text;
  text << "word " << range.first + static_cast<std::size_t>(wrong - words.begin()) << " is 0x"
       << std::hex << *wrong << ", expected 0x" << *right;
  report(buffer, text.str());
}

void Application::check_sum(const Buffer& buffer, Range range) {
  std::uint64_t expected = 0;
  for (std::size_t i = 0; i < range.count; ++i) {
    expected += weighted(i, buffer.shadow[range.first + i]);
  }
  progress_.checked_bytes += range.count * sizeof(std::uint32_t);
  if (gpu_->sum(buffer, range.first, range.count) != expected) {
    report(buffer, "a kernel read other words than were written between word " +
                       std::to_string(range.first) + " and word " +
                       std::to_string(range.first + range.count));
  }
}

void Application::check_everything() {
  for (const auto& buffer : buffers_) check_copy(*buffer, {0, buffer->shadow.size()});
}

void Application::report(const Buffer& buffer, const std::string& what) const {
  std::ostringstream text;
  text << what << ", in a buffer of " << buffer.bytes() << " bytes at 0x" << std::hex
       << buffer.address << ", after " << operation_rows[static_cast<std::size_t>(last_)].name;
  throw Harm(text.str());
}

}  // namespace stress
