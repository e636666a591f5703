// What the programs share: one GPU's context, memory as each of them maps it, and a digest of all
// bytes that they read back, which they print. They know nothing of vHBM.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

constexpr std::size_t mebibyte = std::size_t{1} << 20;

// Ends the program when the call failed.
void check(CUresult result, const char* call);
#define CHECK(call) check(call, #call)

class Program {
 public:
  explicit Program(unsigned seed);

  // Memory of the device, as the program asks for it.
  CUmemAllocationProp on_device(CUmemAllocationHandleType handles = CU_MEM_HANDLE_TYPE_NONE) const;
  CUdeviceptr reserve(std::size_t size);
  CUmemGenericAllocationHandle create(std::size_t size, const CUmemAllocationProp& properties);
  void map(CUdeviceptr address, std::size_t size, CUmemGenericAllocationHandle handle);
  // Reading and writing, for kernels of this device.
  void open(CUdeviceptr address, std::size_t size);
  // New memory, mapped and open; the mapping alone keeps it.
  void back(CUdeviceptr address, std::size_t size);

  // On one of the two streams, asynchronously.
  void fill(CUdeviceptr address, std::size_t size);
  void compute(CUdeviceptr address, std::size_t size);
  void synchronize();
  // Waits, reads the range and adds it to the digest.
  void digest(CUdeviceptr address, std::size_t size);
  // Waits, and ends the program unless every byte of the range is `value`.
  void holds(CUdeviceptr address, std::size_t size, unsigned char value);
  void say(const std::string& what);

  std::uint32_t random(std::uint32_t below) { return generator_() % below; }
  CUdevice device() const { return device_; }

 private:
  CUstream next_stream();

  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
  CUfunction mix_ = nullptr;
  CUstream streams_[2]{};
  CUevent done_[2]{};
  unsigned next_ = 0, seed_ = 0;
  std::uint64_t digest_ = 0xcbf29ce484222325;
  std::mt19937 generator_;
  std::vector<unsigned char> buffer_;
};

// One function for each kind of program; main.cpp lists them.
void expandable_segments(Program& program);
void sleep_mode(Program& program);
void elastic_cache(Program& program);
void collectives(Program& program);
void collectives_peer(Program& program);
