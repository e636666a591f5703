// The gate's slow paths: a thread's first pass, waiting, and closing. Slots outlive both their
// thread and their gate: the gate and every thread that has a slot share the set they live in.
#include "runtime/gate.h"

#include <pthread.h>

#include <mutex>
#include <new>
#include <thread>

#include "runtime/protection.h"

namespace vhbm {

// All slots that a gate ever handed out. The list only grows, so that the closer walks it without a
// lock; a slot whose thread ended is taken up by the next new thread.
class Gate::Slots {
 public:
  ~Slots() {
    for (Slot* slot = all_.load(); slot != nullptr;) {
      Slot* next = slot->next;
      delete slot;
      slot = next;
    }
  }

  Slot* take() noexcept {
    {
      std::lock_guard lock(mutex_);
      if (free_ != nullptr) {
        Slot* slot = free_;
        free_ = slot->next_free;
        return slot;
      }
    }
    Slot* slot = new (std::nothrow) Slot;
    if (slot == nullptr) return nullptr;
    slot->next = all_.load();
    while (!all_.compare_exchange_weak(slot->next, slot)) {
    }
    return slot;
  }

  void give_back(Slot* slot) noexcept {
    std::lock_guard lock(mutex_);
    slot->next_free = free_;
    free_ = slot;
  }

  [[nodiscard]] Slot* first() const { return all_.load(); }

  // A thread got no slot for want of memory: who is inside is no longer known.
  std::atomic<bool> incomplete{false};

 private:
  std::mutex mutex_;
  Slot* free_ = nullptr;
  std::atomic<Slot*> all_{nullptr};
};

// The slots of one thread, one for each gate it passed. A pthread key rather than a thread_local,
// since other thread_locals' destructors may still submit work: the key's destructor then runs once
// more.
struct ThreadSlots {
  struct Entry {
    std::uint64_t gate;
    std::shared_ptr<Gate::Slots> slots;
    Gate::Slot* slot;
    Entry* next;
  };

  static pthread_key_t key() {
    static const pthread_key_t made = [] {
      pthread_key_t key = 0;
      pthread_key_create(&key, &leave);
      return key;
    }();
    return made;
  }

  static void leave(void* entries) {
    Gate::cached_ = {};
    for (auto* entry = static_cast<Entry*>(entries); entry != nullptr;) {
      Entry* next = entry->next;
      entry->slots->give_back(entry->slot);
      delete entry;
      entry = next;
    }
  }

  static Gate::Slot* find_or_take(std::uint64_t gate,
                                  const std::shared_ptr<Gate::Slots>& slots) noexcept {
    auto* const entries = static_cast<Entry*>(pthread_getspecific(key()));
    for (Entry* entry = entries; entry != nullptr; entry = entry->next) {
      if (entry->gate == gate) return entry->slot;
    }
    Gate::Slot* slot = slots->take();
    if (slot == nullptr) return nullptr;
    auto* entry = new (std::nothrow) Entry{gate, slots, slot, entries};
    if (entry == nullptr || pthread_setspecific(key(), entry) != 0) {
      delete entry;
      slots->give_back(slot);
      return nullptr;
    }
    return slot;
  }
};

namespace {
std::atomic<std::uint64_t> next_gate_id{1};
}  // namespace

constinit thread_local Gate::Cached Gate::cached_;

Gate::Gate() : id_(next_gate_id.fetch_add(1)), slots_(std::make_shared<Slots>()) {}

Gate::~Gate() = default;

Gate::Slot* Gate::slot_of_this_thread() noexcept {
  Slot* slot = ThreadSlots::find_or_take(id_, slots_);
  if (slot == nullptr) {
    // The application must go on; so the gate lets this thread through unseen and never closes
    // again.
    static thread_local Slot unseen;
    slots_->incomplete.store(true);
    return &unseen;
  }
  cached_ = {id_, slot};
  return slot;
}

std::uint64_t Gate::launches() const noexcept {
  std::uint64_t sum = 0;
  for (const Slot* slot = slots_->first(); slot != nullptr; slot = slot->next) {
    sum += slot->launches.load(std::memory_order_relaxed);
  }
  return sum;
}

bool Gate::any_inside() const noexcept {
  for (const Slot* slot = slots_->first(); slot != nullptr; slot = slot->next) {
    if (slot->inside.load(std::memory_order_relaxed) != 0) return true;
  }
  return false;
}

void Gate::wait_until_open(Slot* slot) noexcept {
  if constexpr (!keeps(Protection::gate)) {
    // Who sleeps is called back, or nothing would move any more and show what is missing.
    if (held_.load(std::memory_order_seq_cst)) {
      waiting_.fetch_add(1, std::memory_order_seq_cst);
      if (knock_) knock_();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      waiting_.fetch_sub(1, std::memory_order_seq_cst);
    }
    slot->inside.exchange(1, std::memory_order_seq_cst);
    return;
  }
  const auto begin = Clock::now();
  // Counted before the knock: who holds the gate only after that looks who waits.
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  do {
    if (held_.load(std::memory_order_seq_cst) && knock_) knock_();
    slot->inside.store(0, std::memory_order_release);
    closed_.wait(1);
    slot->inside.exchange(1, std::memory_order_seq_cst);
  } while (closed_.load(std::memory_order_seq_cst) != 0);
  waiting_.fetch_sub(1, std::memory_order_seq_cst);
  const auto waited = std::chrono::nanoseconds(Clock::now() - begin);
  waits_.fetch_add(1, std::memory_order_relaxed);
  waited_ns_.fetch_add(static_cast<std::uint64_t>(waited.count()), std::memory_order_relaxed);
}

bool Gate::close(Clock::time_point deadline) noexcept {
  // Rare, and short where it happens: polled for, since a lock could not be given up in time.
  while (has_closer_.exchange(true, std::memory_order_acquire)) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  closed_.store(1, std::memory_order_seq_cst);
  for (Slot* slot = slots_->first(); slot != nullptr; slot = slot->next) {
    for (int tries = 0; slot->inside.load(std::memory_order_seq_cst) != 0; ++tries) {
      if (Clock::now() >= deadline) {
        open();
        return false;
      }
      if (tries < 64) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      }
    }
  }
  if (slots_->incomplete.load()) {
    open();
    return false;
  }
  return true;
}

void Gate::open() noexcept {
  held_.store(false, std::memory_order_seq_cst);
  closed_.store(0, std::memory_order_seq_cst);
  closed_.notify_all();
  has_closer_.store(false, std::memory_order_release);
}

}  // namespace vhbm
