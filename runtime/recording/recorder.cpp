#include "runtime/recording/recorder.h"

#include <unistd.h>

#include <exception>

#include "runtime/log.h"

namespace vhbm::recording {
namespace {

// How old what a killed process had recorded may be without being in its file. Longer ones pack
// better.
constexpr std::chrono::milliseconds between_blocks{250};
// Of the limit, for the record that says why a recording ended.
constexpr Bytes for_the_end = kib(4);

}  // namespace

Status Recorder::start(const Wish& wish, TraceHeader header) {
  stop("another one begins");
  for (auto& stream : streams_) stream = std::make_unique<Stream>(queue_size_);
  wish_ = wish;
  given_up_.store(nullptr);
  begin_ = Clock::now();
  header.clock_ns = static_cast<std::uint64_t>(begin_.time_since_epoch().count());
  if (Status status = writer_.open(wish.file, header, wish.replace); !status.ok()) return status;
  written_.store(writer_.written().value);
  {
    const std::lock_guard lock(mutex_);
    ended_.clear();
    length_ = {};
  }
  writes_ = true;
  worker_ = std::make_unique<Worker>();
  if (Status status = worker_->start("vhbm-record", between_blocks, [this] { round(); });
      !status.ok()) {
    writer_.close();
    writes_ = false;
    return status;
  }
  on_.store(true);
  return {};
}

void Recorder::stop(const char* why) noexcept {
  if (worker_ == nullptr) return;
  worker_->stop();
  // Otherwise the thread is stuck in the file system, and what it has in hand is its own.
  if (worker_->ended() && writes_) {
    try {
      while (writes_ && fed(true)) write(nullptr);
      on_.store(false);
      write(why);
    } catch (const std::exception&) {
    }
    finish(why);
  }
  on_.store(false);
}

void Recorder::leave_to_parent() noexcept {
  on_.store(false);
  writer_.close();
  writes_ = false;
  if (worker_ != nullptr) worker_->stop();
}

left_out Recorder::missing_of(const Stream& stream) noexcept {
  return {stream.missing.load(), stream.missing_uses.load()};
}

void Recorder::put(Stream& stream, const Record& record) {
  stream.bytes.clear();
  if (const left_out missing = missing_of(stream); missing.records != 0) {
    append({record.at, missing}, stream.bytes);
  }
  append(record, stream.bytes);
  const auto* const used = std::get_if<uses>(&record.content);
  const std::uint64_t count = used == nullptr ? 0 : used->list.size();
  if (stream.queue.add(stream.bytes)) {
    stream.missing.store(0);
    stream.missing_uses.store(0);
    stream.records.fetch_add(1, std::memory_order_relaxed);
    stream.uses.fetch_add(count, std::memory_order_relaxed);
  } else {
    stream.missing.fetch_add(1);
    stream.missing_uses.fetch_add(count);
    stream.left_out_records.fetch_add(1, std::memory_order_relaxed);
  }
}

void Recorder::add(Source source, Clock::time_point at, const Content& content) noexcept {
  if (!is_on()) return;
  Stream& stream = *streams_[static_cast<std::size_t>(source)];
  try {
    put(stream, {std::chrono::nanoseconds(time_of(at)), content});
  } catch (const std::exception&) {
    stream.missing.fetch_add(1);
    stream.left_out_records.fetch_add(1, std::memory_order_relaxed);
  }
  if (stream.queue.half_full()) worker_->wake();
}

void Recorder::write(const char* why_last) {
  if (!writes_) return;
  taken_.clear();
  for (auto& stream : streams_) stream->queue.take(taken_);
  auto written = writer_.write(taken_, saturating_minus(wish_.limit, for_the_end));
  if (written.ok() && !*written) why_last = "the limit of its size was reached";
  if (!written.ok()) {
    log_warn("a recording ends early: {}", written.status().message());
    return finish(written.status().message());
  }
  if (why_last == nullptr) {
    written_.store(writer_.written().value);
    return;
  }
  taken_.clear();
  for (const auto& stream : streams_) {
    if (const left_out missing = missing_of(*stream); missing.records != 0) {
      append({Clock::now() - begin_, missing}, taken_);
    }
  }
  append({Clock::now() - begin_, end{why_last}}, taken_);
  (void)writer_.write(taken_, wish_.limit);
  finish(why_last);
}

void Recorder::finish(std::string why) noexcept {
  if (!writes_) return;
  on_.store(false);
  writes_ = false;
  written_.store(writer_.written().value);
  writer_.close();
  end_feeding();
  const std::lock_guard lock(mutex_);
  ended_ = std::move(why);
  length_ = Clock::now() - begin_;
}

// What is told by now is not recorded any more.
void Recorder::end_feeding() noexcept {
  try {
    while (fed(true)) {
    }
  } catch (const std::exception&) {
  }
}

void Recorder::round() noexcept {
  if (!writes_) return;
  const bool over = wish_.length.count() != 0 && Clock::now() - begin_ >= wish_.length;
  const char* const given_up = given_up_.load();
  const char* const why_last = given_up != nullptr ? given_up
                               : over              ? "its time was over"
                                                   : nullptr;
  try {
    while (writes_ && fed(why_last != nullptr)) write(nullptr);
    write(why_last);
  } catch (const std::exception&) {
    finish("there was no memory to write it with");
  }
}

Recorder::Progress Recorder::progress() const {
  Progress made;
  made.on = is_on();
  made.file = wish_.file;
  made.written = {written_.load()};
  for (const auto& stream : streams_) {
    if (stream == nullptr) continue;
    made.records += stream->records.load();
    made.left_out += stream->left_out_records.load();
    made.uses += stream->uses.load();
  }
  const std::lock_guard lock(mutex_);
  made.ended = ended_;
  made.length = made.on ? Clock::now() - begin_ : length_;
  return made;
}

}  // namespace vhbm::recording
