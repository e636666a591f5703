// As vLLM's allocator with sleep mode does (csrc/cumem_allocator.cpp, vllm/device_allocator/
// cumem.py): each allocation has a reservation of its own; to sleep, weights are copied to the
// host, and all memory is unmapped and released; on waking it is created anew and mapped at the
// same addresses.
#include "program.h"

namespace {

struct Allocation {
  CUdeviceptr address = 0;
  std::size_t size = 0;
  CUmemGenericAllocationHandle handle = 0;
  unsigned char* backup = nullptr;  // of weights
};

void create_and_map(Program& program, Allocation& one) {
  one.handle = program.create(one.size, program.on_device());
  program.map(one.address, one.size, one.handle);
  program.open(one.address, one.size);
}

void unmap_and_release(Allocation& one) {
  CHECK(cuMemUnmap(one.address, one.size));
  CHECK(cuMemRelease(one.handle));
}

Allocation allocate(Program& program, std::size_t size) {
  const CUmemAllocationProp properties = program.on_device();
  std::size_t granularity = 0;
  CHECK(cuMemGetAllocationGranularity(&granularity, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  Allocation one;
  one.size = (size + granularity - 1) / granularity * granularity;
  one.address = program.reserve(one.size);
  create_and_map(program, one);
  return one;
}

}  // namespace

void sleep_mode(Program& program) {
  std::vector<Allocation> weights, caches;
  for (std::size_t i = 0; i < 4; ++i) {
    weights.push_back(allocate(program, 7 * mebibyte + i * 4096));
    caches.push_back(allocate(program, 6 * mebibyte));
    void* backup = nullptr;
    CHECK(cuMemAllocHost(&backup, weights.back().size));
    weights.back().backup = static_cast<unsigned char*>(backup);
    program.fill(weights.back().address, weights.back().size);
    program.fill(caches.back().address, caches.back().size);
  }
  for (int cycle = 0; cycle < 2; ++cycle) {
    for (int step = 0; step < 2; ++step) {
      for (const Allocation& one : weights) program.compute(one.address, one.size);
      for (const Allocation& one : caches) program.compute(one.address, one.size);
    }
    for (const Allocation& one : caches) program.digest(one.address, one.size);
    program.synchronize();
    for (Allocation& one : weights) {
      CHECK(cuMemcpyDtoH(one.backup, one.address, one.size));
      unmap_and_release(one);
    }
    for (Allocation& one : caches) unmap_and_release(one);
    // Asleep: the addresses are kept, and nothing is behind them.
    for (const Allocation& one : weights) {
      unsigned char mapped = 1;
      CHECK(cuPointerGetAttribute(&mapped, CU_POINTER_ATTRIBUTE_MAPPED, one.address));
      program.say(mapped == 0 ? "asleep" : "still mapped");
    }
    for (Allocation& one : weights) {
      create_and_map(program, one);
      CHECK(cuMemcpyHtoD(one.address, one.backup, one.size));
    }
    for (Allocation& one : caches) {
      create_and_map(program, one);
      program.fill(one.address, one.size);
    }
    for (const Allocation& one : weights) program.digest(one.address, one.size);
  }
  for (std::vector<Allocation>* all : {&weights, &caches}) {
    for (Allocation& one : *all) {
      unmap_and_release(one);
      CHECK(cuMemAddressFree(one.address, one.size));
      if (one.backup != nullptr) CHECK(cuMemFreeHost(one.backup));
    }
  }
}
