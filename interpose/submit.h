// What every hook that submits GPU work does: pass the gate, say what is known of the work, call
// the real function. Hot: no lock, no allocation.
//
// A synchronous copy waits for the GPU inside its pass. A flip that wants the gate meanwhile is
// given up at its deadline, which costs a little time and nothing else.
#pragma once

#include "interpose/default_stream.h"
#include "interpose/hook_scope.h"

namespace vhbm::interpose {

// `say` is called with the runtime, inside the gate, and before it where that is held closed.
template <typename... P, typename Say>
CUresult submit(CUresult (CUDAAPI* Functions::*function)(P...), Say&& say,
                std::type_identity_t<P>... arguments) {
  const HookScope scope;
  Runtime* const runtime = scope.runtime();
  if (runtime == nullptr) return scope.call(function, arguments...);
  const auto pass = runtime->gate().pass([&] { say(*runtime); });
  say(*runtime);
  return scope.call(function, arguments...);
}

inline void note_stream(Runtime& runtime, CUstream stream, DefaultStream null_means) noexcept {
  if (is_per_thread(stream, null_means)) runtime.per_thread_stream_used();
}

// Unified addressing lets a device address stand for a host pointer, and the other way round.
inline DeviceAddress address_of(CUdeviceptr address) noexcept {
  return {address};
}
inline DeviceAddress address_of(const void* address) noexcept {
  return {reinterpret_cast<std::uint64_t>(address)};
}

template <typename Address>
void touch(Runtime& runtime, Address address, std::size_t length,
           Access access = Access::read) noexcept {
  runtime.touched(address_of(address), {length}, access);
}

// What a copy does to where it goes to; an array's side has no address.
template <typename From>
Access filling(const Runtime& runtime, From from) noexcept {
  const DeviceAddress address = address_of(from);
  return address.value == 0 || runtime.owns(address) ? Access::written : Access::filled;
}

// A copy of `size` bytes.
template <typename To, typename From>
void touch_both(Runtime& runtime, To to, From from, std::size_t size) noexcept {
  touch(runtime, to, size, filling(runtime, from));
  touch(runtime, from, size);
}

// Rows of `width` bytes, `pitch` apart.
inline void touch_rows(Runtime& runtime, CUdeviceptr address, std::size_t pitch, std::size_t width,
                       std::size_t height, Access access = Access::read) noexcept {
  if (height != 0) touch(runtime, address, (height - 1) * pitch + width, access);
}

}  // namespace vhbm::interpose

// A function that submits work, and its variant whose null stream is the thread's own. `...` are
// statements that say what the work touches, to `runtime`.
#define VHBM_LIST(...) __VA_ARGS__
#define VHBM_SUBMIT_AS(null_means_what, symbol, parameters, arguments, stream, ...)      \
  CUresult CUDAAPI symbol parameters {                                                   \
    return vhbm::interpose::submit(                                                      \
        &vhbm::interpose::Functions::symbol,                                             \
        [&]([[maybe_unused]] vhbm::Runtime& runtime) {                                   \
          vhbm::interpose::note_stream(runtime, stream,                                  \
                                       vhbm::interpose::DefaultStream::null_means_what); \
          __VA_ARGS__;                                                                   \
        },                                                                               \
        VHBM_LIST arguments);                                                            \
  }
#define VHBM_SUBMITS(symbol, suffix, parameters, arguments, stream, ...)     \
  VHBM_SUBMIT_AS(legacy, symbol, parameters, arguments, stream, __VA_ARGS__) \
  VHBM_SUBMIT_AS(per_thread, symbol##suffix, parameters, arguments, stream, __VA_ARGS__)
