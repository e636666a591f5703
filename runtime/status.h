// How an expected failure travels: a Status or a Result that must be looked at. A failed driver
// call keeps its CUresult, so that the hook can hand the application exactly what the driver said.
#pragma once

#include <cuda.h>

#include <optional>
#include <string>
#include <utility>

namespace vhbm {

enum class Errc {
  ok,
  out_of_memory,     // both limits are reached
  too_small,         // below the paging threshold
  invalid_value,     // an argument or an option that is not accepted
  unsupported,       // this driver or device lacks what the pager needs
  driver_error,      // a driver call failed; see Status::driver_result()
  frozen,            // an invariant broke earlier: mappings stay as they are
  abandoned,         // the GPU did not get quiet in time: try later
  system_error,      // a system call failed
  tier_full,         // a tier below host has no room
  tier_unreachable,  // a tier below host fails, or takes too long
  bytes_lost,        // a tier below host no longer has what it was given
  bytes_corrupted,   // a tier below host gave other bytes than it was given
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Errc code, std::string message) : code_(code), message_(std::move(message)) {}

  // `call` names the driver function. Running out of memory keeps its own code, since frameworks
  // retry on that one only.
  static Status driver(CUresult result, const char* call) {
    Status status(result == CUDA_ERROR_OUT_OF_MEMORY ? Errc::out_of_memory : Errc::driver_error,
                  std::string(call) + " failed with CUDA error " + std::to_string(result));
    status.driver_result_ = result;
    return status;
  }

  [[nodiscard]] bool ok() const { return code_ == Errc::ok; }
  [[nodiscard]] Errc code() const { return code_; }
  // CUDA_SUCCESS unless a driver call was what failed.
  [[nodiscard]] CUresult driver_result() const { return driver_result_; }
  [[nodiscard]] const std::string& message() const { return message_; }

 private:
  Errc code_ = Errc::ok;
  CUresult driver_result_ = CUDA_SUCCESS;
  std::string message_;
};

// A value, or why there is none. value() requires ok().
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status failure) : status_(std::move(failure)) {}

  [[nodiscard]] bool ok() const { return value_.has_value(); }
  [[nodiscard]] const Status& status() const { return status_; }
  [[nodiscard]] T& value() { return *value_; }
  [[nodiscard]] const T& value() const { return *value_; }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace vhbm
