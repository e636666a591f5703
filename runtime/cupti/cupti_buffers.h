// The buffers that CUPTI fills, and the spans that are read out of them. One for the process, since
// CUPTI calls back without saying on whose behalf, and never destroyed, since it may do so until
// the process ends. Invariant: nothing is thrown into CUPTI; memory is bounded whatever comes.
// Locking: one mutex, taken by CUPTI's threads and by whoever takes the spans; never held while
// CUPTI is called to do anything but to read a buffer.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "runtime/cupti/cupti_clock.h"
#include "runtime/kernel_times.h"

namespace vhbm {

class CuptiBuffers {
 public:
  static constexpr std::size_t most_spans = 1 << 17, most_names = 1 << 14, longest_name = 1024;
  // Records are some 200 bytes long. CUPTI may have one buffer for each thread that launches.
  static constexpr std::size_t buffer_size = 256 << 10, most_buffers = 64;

  static CuptiBuffers& get();

  // Records count from now on, and do not any more. What CUPTI keeps of buffers meanwhile it may
  // hand back at any time.
  void begin(const CuptiFunctions& cupti);
  void end();

  void take(std::vector<KernelSpan>& spans);
  // CUPTI itself had no room for so many records.
  void dropped(std::size_t records);
  [[nodiscard]] std::uint64_t lost() const;

  // What CUPTI is given.
  static void requested(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records);
  static void completed(CUcontext context, std::uint32_t stream, std::uint8_t* buffer,
                        std::size_t size, std::size_t valid);

  CuptiClock clock;

 private:
  CuptiBuffers() = default;
  void hand_out(std::uint8_t** buffer, std::size_t* size);
  void take_back(std::uint8_t* buffer, std::size_t valid);
  void add(const CuptiKernelRecord& record);
  std::string_view kept(const char* name);

  mutable std::mutex mutex_;
  const CuptiFunctions* cupti_ = nullptr;  // nullptr while records do not count
  std::set<std::uint8_t*> handed_out_;
  std::deque<KernelSpan> spans_;
  std::set<std::string, std::less<>> names_;  // for as long as the process lives
  std::uint64_t lost_ = 0;
};

}  // namespace vhbm
