#include "engine/device_view.h"

#include <algorithm>
#include <map>

#include "machine.h"

namespace simgpu {
namespace {

// Under the machine's lock.
unsigned holders = 0;                       // of the view that is shown
std::map<unsigned long long, int> waiting;  // the views asked for, in the order of asking
unsigned long long next_ticket = 0;

// Nobody who asked before wants another view: so none waits for ever.
bool is_next(unsigned long long ticket, int device) {
  return std::all_of(waiting.begin(), waiting.find(ticket),
                     [&](const auto& other) { return other.second == device; });
}

}  // namespace

void enter_view(int device) {
  Machine& m = *machine();
  if (m.devices.size() < 2) return;
  auto lock = m.lock();
  const unsigned long long ticket = next_ticket++;
  waiting[ticket] = device;
  m.wait(lock,
         [&] { return is_next(ticket, device) && (holders == 0 || m.space.view() == device); });
  waiting.erase(ticket);
  m.completed.notify_all();
  if (m.space.view() != device) m.space.show(device);
  ++holders;
}

void leave_view() {
  Machine& m = *machine();
  if (m.devices.size() < 2) return;
  auto lock = m.lock();
  if (--holders == 0) m.completed.notify_all();
}

}  // namespace simgpu
