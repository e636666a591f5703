#include "runtime/imports.h"

#include <unistd.h>

#include "runtime/context_scope.h"
#include "runtime/exports.h"
#include "runtime/log.h"

namespace vhbm {
namespace {

// Apart from the identities of this process's own regions.
constexpr std::uint64_t imported_ids = 1ull << 62;

}  // namespace

Result<DeviceAddress> Imports::open(const SharedHandle& handle, CUcontext context) {
  std::lock_guard opening(opening_);
  {
    std::unique_lock lock(mutex_);
    for (auto& [base, opened] : opened_) {
      if (opened.view.context != context || opened.handle != handle) continue;
      ++opened.references;
      return base;
    }
  }
  if (device_.driver.cuMemImportFromShareableHandle == nullptr) {
    return Status(Errc::invalid_value, "this driver imports no memory");
  }
  const auto received = ask(handle);
  if (!received.ok()) {
    static constinit Seldom seldom;
    seldom.warn("memory of process {} could not be opened: {}", handle.pid,
                received.status().message());
    return received.status();
  }
  const RelaxedCapture relaxed(device_.driver);
  const auto base = map(*received);
  ::close(received->file);
  if (!base.ok()) return base;
  std::unique_lock lock(mutex_);
  const RegionId id{imported_ids | next_id_++};
  opened_[*base] = {
      {id, *base, received->size, device_.ordinal, context}, handle, received->mapped};
  count_.store(opened_.size(), std::memory_order_release);
  return base;
}

Result<Imports::Received> Imports::ask(const SharedHandle& handle) const {
  if (handle.version != SharedHandle::version_now) {
    return Status(Errc::invalid_value, "it has another version of vHBM");
  }
  const auto socket = ShareSocket::connect(directory_, share_name(handle.process), share_patience);
  if (!socket.ok()) return Status(Errc::invalid_value, socket.status().message());
  const ShareRequest request{handle};
  ShareAnswer answer;
  int file = -1;
  const bool answered =
      socket->send(&request, sizeof request) && socket->receive(&answer, sizeof answer, &file);
  if (answered && answer.granted == 1 && file >= 0 && answer.size <= answer.mapped) {
    return Received{file, {answer.size}, {answer.mapped}};
  }
  if (file >= 0) ::close(file);
  return Status(Errc::invalid_value,
                answered ? "it does not share that memory any more" : "it does not answer");
}

Result<DeviceAddress> Imports::map(const Received& received) {
  const Driver& driver = device_.driver;
  CUmemGenericAllocationHandle handle = 0;
  CUresult result = driver.cuMemImportFromShareableHandle(
      &handle, reinterpret_cast<void*>(static_cast<std::intptr_t>(received.file)),
      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
  if (result != CUDA_SUCCESS) return Status::driver(result, "cuMemImportFromShareableHandle");
  CUdeviceptr address = 0;
  Status status;
  result = driver.cuMemAddressReserve(&address, received.mapped.value, 0, 0, 0);
  if (result != CUDA_SUCCESS) {
    status = Status::driver(result, "cuMemAddressReserve");
  } else {
    std::lock_guard lock(device_.lock);
    status = device_.mapper->map({address}, {&handle, 1}, received.mapped);
    if (!status.ok()) driver.cuMemAddressFree(address, received.mapped.value);
  }
  // The mapping keeps the memory.
  driver.cuMemRelease(handle);
  if (!status.ok()) return status;
  return DeviceAddress{address};
}

Status Imports::unmap(DeviceAddress base, Bytes size) {
  std::lock_guard lock(device_.lock);
  if (Status status = device_.mapper->unmap(base, size); !status.ok()) return status;
  device_.driver.cuMemAddressFree(base.value, size.value);
  return {};
}

Status Imports::close(DeviceAddress base) {
  std::lock_guard opening(opening_);
  Bytes mapped;
  {
    std::unique_lock lock(mutex_);
    const auto found = opened_.find(base);
    if (found == opened_.end()) return {Errc::invalid_value, "nothing is open there"};
    if (found->second.references > 1) {
      --found->second.references;
      return {};
    }
    mapped = found->second.mapped;
  }
  const RelaxedCapture relaxed(device_.driver);
  switch (device_.drain.wait()) {
    case Drain::State::quiet:
      break;
    case Drain::State::failed:
      return Status::driver(device_.drain.failure(), "waiting for the GPU");
    default:
      return {Errc::abandoned, "a stream is being captured"};
  }
  if (Status status = unmap(base, mapped); !status.ok()) return status;
  forget(base);
  return {};
}

void Imports::close_all(CUcontext context) {
  std::lock_guard opening(opening_);
  std::map<DeviceAddress, Bytes> ending;
  {
    std::shared_lock lock(mutex_);
    for (const auto& [base, opened] : opened_) {
      if (opened.view.context == context) ending[base] = opened.mapped;
    }
  }
  for (const auto& [base, mapped] : ending) {
    (void)unmap(base, mapped);
    forget(base);
  }
}

void Imports::forget(DeviceAddress base) {
  std::unique_lock lock(mutex_);
  opened_.erase(base);
  count_.store(opened_.size(), std::memory_order_release);
}

const Imports::Opened* Imports::lookup(DeviceAddress address) const {
  const auto after = opened_.upper_bound(address);
  if (after == opened_.begin()) return nullptr;
  const auto& [base, opened] = *std::prev(after);
  return address - base < opened.mapped ? &opened : nullptr;
}

std::optional<RegionView> Imports::find(DeviceAddress address) const {
  if (count_.load(std::memory_order_acquire) == 0) return std::nullopt;
  std::shared_lock lock(mutex_);
  const Opened* opened = lookup(address);
  if (opened == nullptr || address - opened->view.base >= opened->view.size) return std::nullopt;
  return opened->view;
}

bool Imports::maps(DeviceAddress address) const {
  if (count_.load(std::memory_order_acquire) == 0) return false;
  std::shared_lock lock(mutex_);
  return lookup(address) != nullptr;
}

}  // namespace vhbm
