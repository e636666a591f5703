// See sleep.h for the phases. Times are the application's: how long it waits is what is measured.
#include "runtime/sleep.h"

#include <algorithm>
#include <thread>

#include "runtime/context_scope.h"
#include "runtime/devices.h"
#include "runtime/log.h"
#include "runtime/migration.h"
#include "runtime/quiesce.h"

namespace vhbm {
namespace {

constexpr std::chrono::milliseconds interval{10};
// How long a sleep of nobody's asking waits for the GPU to get quiet.
constexpr std::chrono::milliseconds idle_patience{100};
// A single closure of the gate: at first and at most.
constexpr std::chrono::milliseconds first_patience{20}, most_patience{500};
constexpr std::chrono::milliseconds between_attempts{1};
// Work that is less than this apart is one step.
constexpr std::chrono::seconds step{1};
constexpr std::size_t most_asked = 256;

std::uint64_t since(Sleep::Clock::time_point begin) {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(Sleep::Clock::now() - begin).count());
}

}  // namespace

Status Sleep::start() {
  devices_.process.gate.on_knock([this] { knocked(); });
  sleep_after(devices_.options.idle_seconds.length);
  return worker_.start("vhbm-sleep", interval, [this] { round(); });
}

void Sleep::stop() noexcept {
  worker_.stop();
  if (!holds_gate_ || !worker_.ended() || getpid() != devices_.owner) return;
  // Every chunk is mapped, to wherever it is now.
  open();
  devices_.process.sleep.store(SleepState::awake);
}

void Sleep::knocked() noexcept {
  if (devices_.process.sleep.load() != SleepState::awake) worker_.wake();
}

Sleep::Asked Sleep::ask(std::shared_ptr<Request> request) {
  {
    std::lock_guard lock(mutex_);
    if (asked_.size() < most_asked && !worker_.ended()) {
      asked_.push_back(request);
      worker_.wake();
      return request;
    }
  }
  request->status_ = Status(Errc::abandoned, "too much was asked at once, or the process ends");
  request->done_.store(true, std::memory_order_release);
  return request;
}

Sleep::Asked Sleep::fall_asleep(std::chrono::nanoseconds patience, std::chrono::nanoseconds hold,
                                std::optional<Some> some) {
  auto request = std::make_shared<Request>();
  request->patience_ = patience;
  request->hold_ = hold;
  if (some) {
    request->device_ = some->device;
    request->most_ = some->bytes;
  }
  return ask(std::move(request));
}

Sleep::Asked Sleep::wake() {
  auto request = std::make_shared<Request>();
  request->kind_ = Request::Kind::wake;
  return ask(std::move(request));
}

Sleep::Asked Sleep::leave(CUdevice device, Bytes most) {
  auto request = std::make_shared<Request>();
  request->kind_ = Request::Kind::leave;
  request->device_ = device;
  request->most_ = most;
  return ask(std::move(request));
}

Status Sleep::wait(const Asked& asked, std::chrono::nanoseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (!asked->done()) {
    if (Clock::now() >= deadline) return {Errc::abandoned, "there is no answer yet"};
    std::this_thread::sleep_for(between_attempts);
  }
  return asked->status();
}

std::shared_ptr<Sleep::Request> Sleep::next() {
  std::lock_guard lock(mutex_);
  if (asked_.empty()) return nullptr;
  auto request = std::move(asked_.front());
  asked_.pop_front();
  return request;
}

void Sleep::round() noexcept {
  try {
    const RelaxedCapture relaxed(devices_.driver);
    while (!worker_.stopping()) {
      const auto request = next();
      if (request == nullptr) break;
      serve(*request);
      request->done_.store(true, std::memory_order_release);
    }
    if (devices_.process.sleep.load() == SleepState::asleep) {
      if (called_back() || everything_frozen()) return wake_up();
      devices_.each(
          [&](PagedDevice& one) { one.device->stats.set(Stat::asleep_ns, since(slept_from_)); });
      if (below_.store) below_.store();
    } else {
      look_whether_idle();
    }
  } catch (...) {
    // Nothing of this is worth more than the application, which goes on from wherever its bytes
    // are.
    if (holds_gate_) open();
    devices_.process.sleep.store(SleepState::awake);
    devices_.each([](PagedDevice& one) { one.device->freeze("falling asleep ran out of memory"); });
  }
}

void Sleep::serve(Request& request) {
  switch (request.kind_) {
    case Request::Kind::sleep:
      request.status_ =
          put_to_sleep(request.patience_, request.hold_,
                       request.device_ < 0 ? std::nullopt
                                           : std::optional<Some>({request.device_, request.most_}));
      devices_.each(
          [&](PagedDevice& one) { request.moved_ += {one.device->stats.get(Stat::left_bytes)}; });
      break;
    case Request::Kind::wake:
      if (devices_.process.sleep.load() == SleepState::asleep) wake_up();
      devices_.each(
          [&](PagedDevice& one) { request.moved_ += {one.device->stats.get(Stat::woken_bytes)}; });
      break;
    case Request::Kind::leave:
      request.status_ = leave_some(request.device_, request.most_, &request.moved_);
      break;
  }
}

bool Sleep::called_back() const {
  return devices_.process.gate.waiting() != 0 && Clock::now() >= held_until_ &&
         (!others_.permits || others_.permits());
}

bool Sleep::everything_frozen() const {
  bool all = true;
  devices_.each([&](PagedDevice& one) { all = all && one.device->frozen(); });
  return all;
}

void Sleep::become(SleepState state) noexcept {
  const SleepState before = devices_.process.sleep.exchange(state);
  if (legal_move(before, state)) return;
  devices_.each([](PagedDevice& one) { one.device->freeze("a sleep went where none can go"); });
}

void Sleep::open() {
  holds_gate_ = false;
  devices_.process.gate.open();
}

bool Sleep::settled() const {
  bool all = true;
  devices_.each([&](PagedDevice& one) {
    std::lock_guard lock(one.device->lock);
    all = all && one.device->settled() && one.device->repairs.empty();
  });
  return all;
}

Status Sleep::close(Clock::time_point deadline) {
  Process& process = devices_.process;
  PagedDevice* first = nullptr;
  devices_.each([&](PagedDevice& one) {
    if (one.device->is_first) first = &one;
  });
  std::chrono::nanoseconds patience = first_patience;
  const char* why = "chunks are still on the move";
  for (; !worker_.stopping(); std::this_thread::sleep_for(between_attempts)) {
    if (settled()) {
      Quiesce quiesce(process.gate, process.drain, first->device->stats, first->device->stalls,
                      std::min<std::chrono::nanoseconds>(
                          patience, std::max<std::chrono::nanoseconds>(deadline - Clock::now(),
                                                                       between_attempts)));
      switch (quiesce.outcome()) {
        case Quiesce::Outcome::quiet:
          // What came to be under way before the gate closed is waited for once more.
          if (!settled()) break;
          quiesce.keep_closed();
          holds_gate_ = true;
          return {};
        case Quiesce::Outcome::deadline:
          why = "its GPU work does not end";
          break;
        case Quiesce::Outcome::capturing:
          why = "a stream is being captured";
          break;
        case Quiesce::Outcome::unseen:
          return {Errc::abandoned,
                  "its per-thread default streams cannot be watched with this driver"};
        case Quiesce::Outcome::failed:
          why = "the GPU reports errors";
          break;
      }
      patience = std::min<std::chrono::nanoseconds>(patience * 2, most_patience);
    }
    if (Clock::now() >= deadline) break;
  }
  return {Errc::abandoned, why};
}

Status Sleep::put_to_sleep(std::chrono::nanoseconds patience, std::chrono::nanoseconds hold,
                           std::optional<Some> some) {
  Process& process = devices_.process;
  if (process.sleep.load() == SleepState::asleep) return {};
  if (everything_frozen()) return {Errc::frozen, "nothing moves any more in this process"};
  const auto begin = Clock::now();
  become(SleepState::falling_asleep);
  if (Status closed = close(begin + patience); !closed.ok()) {
    become(SleepState::awake);
    return closed;
  }
  held_until_ = Clock::now() + hold;
  devices_.each([](PagedDevice& one) {
    one.device->slept_at.store(one.device->now.fetch_add(1), std::memory_order_relaxed);
  });
  process.gate.hold();
  slept_from_ = Clock::now();
  devices_.each([&](PagedDevice& one) {
    const bool all = !some || some->device != one.device->ordinal;
    send_away(one, all ? Bytes{UINT64_MAX} : some->bytes);
    one.device->stats.add(Stat::sleeps, 1);
    one.device->stats.set(Stat::fall_asleep_ns, since(begin));
  });
  if (!called_back() && !worker_.stopping()) {
    become(SleepState::asleep);
    devices_.each([](PagedDevice& one) { one.device->stats.set(Stat::asleep, 1); });
    return {};
  }
  wake_up();
  return {Errc::abandoned, "it submitted work while it fell asleep"};
}

void Sleep::send_away(PagedDevice& one, Bytes most) {
  Device& device = *one.device;
  {
    // No work is in flight that could reach what was freed.
    std::lock_guard lock(device.lock);
    const std::uint64_t resident = device.stats.get(Stat::resident_bytes);
    // What was still coming back from the last sleep is to come back from this one.
    const bool all_back = !device.returning.exchange(false, std::memory_order_relaxed);
    std::atomic<std::uint64_t>& before = device.resident_before_sleep;
    before.store(all_back ? resident : std::max(resident, before.load()));
    one.allocator.empty_graveyard();
    one.allocator.give_up_idle(IdleRegions::Clock::now());
  }
  Migration migration(device, devices_.process.gate,
                      [this] { return called_back() || worker_.stopping(); });
  const Bytes left = migration.leave(most);
  const Bytes stayed{device.stats.get(Stat::resident_bytes)};
  device.stats.set(Stat::left_bytes, left.value);
  device.stats.set(Stat::stayed_bytes, stayed.value);
  log_info("asleep: {} bytes left device {}, {} stay in HBM", left.value, device.ordinal,
           stayed.value);
  if (migration.host_was_short()) {
    log_warn("host memory is short: {} bytes of device {} stay in HBM while this process sleeps",
             stayed.value, device.ordinal);
  }
}

void Sleep::wake_up() {
  const auto begin = Clock::now();
  if (below_.bring_back && !below_.bring_back()) return;
  become(SleepState::waking);
  Process& process = devices_.process;
  devices_.each([&](PagedDevice& one) {
    one.device->stats.set(Stat::woken_bytes, come_back(one).value);
    one.device->woken_at.store(begin, std::memory_order_relaxed);
    one.device->returning.store(true, std::memory_order_relaxed);
  });
  const std::uint64_t slept = since(slept_from_);
  become(SleepState::awake);
  active_at_ = Clock::now();
  open();
  devices_.each([&](PagedDevice& one) {
    one.device->stats.set(Stat::asleep, 0);
    one.device->stats.set(Stat::asleep_ns, 0);
    one.device->stats.add(Stat::slept_ns, slept);
    one.device->stats.add(Stat::wakes, 1);
    one.device->stats.set(Stat::wake_ns, since(begin));
  });
  log_info("awake after {} ms, {} of them waking; {} threads waited", slept / 1'000'000,
           since(begin) / 1'000'000, process.gate.waiting());
}

Bytes Sleep::come_back(PagedDevice& one) {
  Device& device = *one.device;
  if (devices_.decisions.wake_order == nullptr || device.frozen()) return {};
  std::vector<ChunkId> order;
  {
    std::lock_guard lock(device.lock);
    const std::vector<Candidate> candidates = candidates_of(device, 0);
    const auto rounds = std::chrono::milliseconds(step) / device.options.pager_interval;
    order = devices_.decisions.wake_order(
        {candidates, device.slept_at.load(std::memory_order_relaxed),
         static_cast<std::uint64_t>(std::max<std::int64_t>(rounds, 1))});
  }
  Migration migration(device, devices_.process.gate, [this] { return worker_.stopping(); });
  return migration.come_back(order,
                             [&] { return others_.wait_for_room && others_.wait_for_room(one); });
}

Status Sleep::leave_some(CUdevice which, Bytes most, Bytes* left) {
  PagedDevice* const one = devices_.on(which);
  if (one == nullptr) return {Errc::invalid_value, "this device's memory is not paged"};
  if (one->device->frozen()) return {Errc::frozen, "nothing moves any more in this process"};
  const Bytes held{one->device->stats.get(Stat::hbm_bytes)};
  const bool awake = devices_.process.sleep.load() == SleepState::awake;
  if (awake) {
    become(SleepState::falling_asleep);
    if (Status closed = close(Clock::now() + patience_with_gpu); !closed.ok()) {
      become(SleepState::awake);
      return closed;
    }
  }
  Migration migration(*one->device, devices_.process.gate, [this] { return worker_.stopping(); });
  (void)migration.leave(most);
  *left = saturating_minus(held, {one->device->stats.get(Stat::hbm_bytes)});
  if (awake) {
    become(SleepState::awake);
    open();
  }
  return {};
}

Sleep::Activity Sleep::activity() const {
  Activity now{devices_.process.gate.launches(), devices_.process.gate.waits(), 0};
  devices_.each([&](PagedDevice& one) {
    std::uint64_t last = 0;
    std::lock_guard lock(one.device->lock);
    for (const Candidate& chunk : candidates_of(*one.device, 0))
      last = std::max(last, chunk.last_use);
    now.last_uses += last;
  });
  return now;
}

void Sleep::look_whether_idle() {
  const std::chrono::milliseconds limit(idle_limit_ms_.load());
  const auto now = Clock::now();
  if (limit.count() == 0 || now < next_look_) return;
  next_look_ = now + std::clamp<Clock::duration>(limit / 10, interval, std::chrono::seconds(1));
  const Activity seen = activity();
  if (!(seen == seen_) || devices_.process.is_at_work()) {
    seen_ = seen;
    active_at_ = now;
  }
  if (now - active_at_ < limit) return;
  // Whatever comes of it, the next attempt is as far away.
  active_at_ = now;
  Bytes resident;
  devices_.each(
      [&](PagedDevice& one) { resident += {one.device->stats.get(Stat::resident_bytes)}; });
  if (resident.value == 0) return;
  if (Status slept = put_to_sleep(idle_patience, {}, std::nullopt); !slept.ok()) {
    log_info("idle for {} ms, but it does not fall asleep: {}", limit.count(), slept.message());
  }
}

}  // namespace vhbm
