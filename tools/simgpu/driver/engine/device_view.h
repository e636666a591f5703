// With several devices, what one may reach that another may not. There is one page table for all,
// so it shows the memory of one device at a time: kernels of different devices take turns, at their
// ends and wherever they yield; what is not a kernel sees all memory. With one device, nothing.
#pragma once

namespace simgpu {

constexpr int kAllDevices = -1;

// From here to leave_view() the page table is that of `device`, or of all. Waits for others.
void enter_view(int device);
void leave_view();

class DeviceView {
 public:
  explicit DeviceView(int device) { enter_view(device); }
  ~DeviceView() { leave_view(); }
  DeviceView(const DeviceView&) = delete;
  DeviceView& operator=(const DeviceView&) = delete;
};

}  // namespace simgpu
