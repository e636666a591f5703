#include "runtime/host_ledger.h"

#include <algorithm>

namespace vhbm {

void HostLedger::join(Member* member) {
  std::lock_guard lock(mutex_);
  members_.push_back(member);
}

void HostLedger::leave(const Member* member) {
  std::lock_guard lock(mutex_);
  std::erase(members_, member);
}

Bytes HostLedger::limit_to(Bytes limit) {
  std::lock_guard lock(mutex_);
  if (limit_.value == UINT64_MAX) limit_ = limit;
  return limit_;
}

void HostLedger::set_limit(Bytes limit) {
  std::lock_guard lock(mutex_);
  limit_ = limit;
}

bool HostLedger::take(Bytes size, Member& by) {
  std::lock_guard lock(mutex_);
  for (Member* other : members_) {
    while (unused() < size && other != &by && other->spare.load(std::memory_order_relaxed) != 0) {
      if (!other->yield()) break;
    }
  }
  if (unused() < size) {
    if (spare_without(by).value != 0) by.wanted = std::max(by.wanted, size);
    return false;
  }
  taken_ += size;
  by.wanted = saturating_minus(by.wanted, size);
  return true;
}

bool HostLedger::take_unused(Bytes size, const Member& by) {
  std::lock_guard lock(mutex_);
  if (unused() < size + wanted_without(by)) return false;
  taken_ += size;
  return true;
}

void HostLedger::want(Bytes size, Member& by) {
  std::lock_guard lock(mutex_);
  by.wanted = size;
}

void HostLedger::give_back(Bytes size) {
  std::lock_guard lock(mutex_);
  taken_ -= size;
}

void HostLedger::promise(Bytes size) {
  std::lock_guard lock(mutex_);
  promised_ += size;
}

void HostLedger::drop_promise(Bytes size) {
  std::lock_guard lock(mutex_);
  promised_ = saturating_minus(promised_, size);
}

void HostLedger::take_promised(Bytes size) {
  std::lock_guard lock(mutex_);
  promised_ = saturating_minus(promised_, size);
  taken_ += size;
}

void HostLedger::application_locked(Bytes size) {
  std::lock_guard lock(mutex_);
  application_ += size;
}

void HostLedger::application_unlocked(Bytes size) {
  std::lock_guard lock(mutex_);
  application_ = saturating_minus(application_, size);
}

Bytes HostLedger::application() const {
  std::lock_guard lock(mutex_);
  return application_;
}

bool HostLedger::over_limit(const Member& member) const {
  std::lock_guard lock(mutex_);
  return held() + wanted_without(member) > limit_;
}

Bytes HostLedger::spare_without(const Member& member) const {
  Bytes spare;
  for (const Member* other : members_) {
    if (other != &member) spare += {other->spare.load(std::memory_order_relaxed)};
  }
  return spare;
}

Bytes HostLedger::wanted_without(const Member& member) const {
  Bytes wanted;
  for (const Member* other : members_) {
    if (other != &member) wanted += other->wanted;
  }
  return wanted;
}

Bytes HostLedger::left(const Member& member) const {
  std::lock_guard lock(mutex_);
  return unused() + spare_without(member);
}

Bytes HostLedger::spare_of_others(const Member& member) const {
  std::lock_guard lock(mutex_);
  return spare_without(member);
}

}  // namespace vhbm
