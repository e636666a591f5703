#include "runtime/recording_orders.h"

#include "runtime/devices.h"
#include "runtime/words.h"

namespace vhbm {
namespace {

// The device that a recording is of: the one that is named, or the only one that there is.
PagedDevice& recorded_device(const Devices& devices, const OrderJson& request) {
  std::vector<std::string> numbers;
  PagedDevice* meant = nullptr;
  const auto named = request.find("device");
  devices.each([&](PagedDevice& one) {
    numbers.push_back(std::to_string(one.device->ordinal));
    if (named == request.end() || *named == OrderJson(one.device->ordinal)) meant = &one;
  });
  const std::string accepted = joined_with_or(numbers);
  if (named != request.end() && meant == nullptr) refuse("device", *named, accepted);
  if (named == request.end() && numbers.size() > 1) {
    refuse("device is missing: this process has " + accepted);
  }
  if (meant == nullptr) refuse("this process has no device whose memory is paged");
  return *meant;
}

std::string told_recording(PagedDevice& one) {
  DeviceRecording& made = one.device->recording;
  const recording::Recorder::Progress progress = made.progress();
  const KernelRecording::Told kernels = one.device->process.kernels.told(made.recorder());
  OrderJson answer({{"ok", true},
                    {"on", progress.on},
                    {"file", progress.file},
                    {"written", progress.written.value},
                    {"length_ns", progress.length.count()},
                    {"records", progress.records},
                    {"uses", progress.uses},
                    {"left_out", progress.left_out},
                    {"ended", progress.ended}});
  if (kernels.asked) {
    answer["kernels"] = kernels.kernels;
    answer["kernels_lost"] = kernels.lost;
    answer["no_kernels"] = kernels.why_not;
  }
  return told(answer);
}

}  // namespace

std::string record_order(const Devices& devices, const OrderJson& request) {
  constexpr const char* accepted = "an absolute path";
  constexpr Bytes least = kib(64);
  recording::Recorder::Wish wish;
  wish.file = text_of(request, "file", accepted);
  if (!wish.file.starts_with('/')) refuse("file", request["file"], accepted);
  wish.limit = request.contains("limit") ? size_of(request, "limit") : gib(1);
  if (wish.limit < least) refuse("limit", request["limit"], "a size of at least 64KiB");
  wish.length = time_of(request, "length_ms", std::chrono::milliseconds(0));
  wish.replace = flag_of(request, "replace");
  PagedDevice& one = recorded_device(devices, request);
  DeviceRecording& made = one.device->recording;
  KernelRecording& kernels = one.device->process.kernels;
  // Those of a recording that is under way stay its own.
  const bool with_kernels = flag_of(request, "kernels") && !made.is_on();
  if (!made.is_on()) kernels.forget(made.recorder());
  if (with_kernels) kernels.join(wish, made.recorder(), one.device->ordinal);
  if (Status status = made.start(wish); !status.ok()) {
    if (with_kernels) kernels.leave();
    refuse(status.message());
  }
  return told_recording(one);
}

std::string recording_order(const Devices& devices, const OrderJson& request) {
  PagedDevice& one = recorded_device(devices, request);
  if (flag_of(request, "end")) one.device->recording.stop("it was told to end");
  return told_recording(one);
}

}  // namespace vhbm
