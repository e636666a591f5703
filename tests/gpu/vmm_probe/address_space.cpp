// Reserved addresses, the CPU's view of a host frame, and one frame at two addresses.
#include <cstring>

#include "gpu_work.h"

namespace vmm_probe {

void reservation(Probe& probe) {
  std::size_t largest = 0;
  for (std::size_t gib = 1; gib <= 256 * 1024; gib *= 4) {
    const std::size_t bytes = gib * 1_GiB;
    CUdeviceptr base = 0;
    const Clock::time_point start = Clock::now();
    const CUresult reserved = cu.cuMemAddressReserve(&base, bytes, 0, 0, 0);
    const double reserve = microseconds_since(start);
    Json row = {{"bytes", bytes}, {"result", name_of(reserved)}, {"reserve_microseconds", reserve}};
    if (reserved == CUDA_SUCCESS) {
      largest = bytes;
      const Clock::time_point before = Clock::now();
      must(cu.cuMemAddressFree(base, bytes), "cuMemAddressFree");
      row["free_microseconds"] = microseconds_since(before);
      row["aligned_to_2_mib"] = base % 2_MiB == 0;
    }
    probe.append("by_size", row);
  }
  probe.record("largest_bytes", largest);
  probe.headline("up to " + size_name(largest) + " in one piece");
}

void host_frame_cpu_access(Probe& probe) {
  const std::size_t bytes = fitting(probe, Place::host, 256_MiB, 64_MiB);
  Buffer buffer(probe, Place::host, bytes, 64_MiB);
  must(cu.cuMemsetD32_v2(buffer.address(), 0x5eedf00du, bytes / 4), "cuMemsetD32");
  must(cu.cuCtxSynchronize(), "cuCtxSynchronize");
  struct Way {
    const char* name;
    CUmemLocationType type;
  };
  bool granted = false;
  for (const Way& way :
       {Way{"host_numa", CU_MEM_LOCATION_TYPE_HOST_NUMA}, Way{"host", CU_MEM_LOCATION_TYPE_HOST}}) {
    CUmemAccessDesc access{};
    access.location.type = way.type;
    access.location.id = way.type == CU_MEM_LOCATION_TYPE_HOST ? 0 : probe.host_node();
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    const Clock::time_point start = Clock::now();
    const CUresult result = cu.cuMemSetAccess(buffer.address(), bytes, &access, 1);
    probe.append("by_descriptor", {{"location", way.name},
                                   {"result", name_of(result)},
                                   {"set_access_microseconds", microseconds_since(start)}});
    granted = granted || result == CUDA_SUCCESS;
  }
  if (!granted) throw Failure("the CPU was given access by neither kind of descriptor");

  auto* words = reinterpret_cast<volatile std::uint64_t*>(buffer.address());
  const std::size_t count = bytes / 8;
  std::size_t wrong = 0;
  const Clock::time_point read_start = Clock::now();
  for (std::size_t i = 0; i < count; ++i) wrong += words[i] != 0x5eedf00d5eedf00dull;
  const double read = to_gib(bytes) / seconds_since(read_start);
  const Clock::time_point write_start = Clock::now();
  for (std::size_t i = 0; i < count; ++i) words[i] = i;
  const double write = to_gib(bytes) / seconds_since(write_start);
  probe.record("cpu_read_gib_per_s", read);
  probe.record("cpu_write_gib_per_s", write);
  probe.record("wrong_words_count", wrong);

  std::uint64_t last = 0;
  must(cu.cuMemcpyDtoH_v2(&last, buffer.address() + bytes - 8, 8), "cuMemcpyDtoH");
  probe.record("gpu_sees_what_the_cpu_wrote", last == count - 1);
  probe.headline("one core reads " + fixed(read, 1) + ", writes " + fixed(write, 1) + " GiB/s");
  if (wrong || last != count - 1) throw Failure("CPU and GPU see different bytes");
}

void aliases(Probe& probe) {
  bool all_right = true;
  for (const Place place : {Place::hbm, Place::host}) {
    const Frame frame(probe, place, 2_MiB);
    Window one(probe, 2_MiB), two(probe, 2_MiB);
    one.map(0, frame);
    one.allow(0, 2_MiB);
    two.map(0, frame);
    two.allow(0, 2_MiB);
    std::vector<std::uint32_t> seen(2_MiB / 4);
    std::size_t wrong = 0;
    std::uint32_t stamp = 1;
    for (int round = 0; round < 100; ++round, ++stamp) {
      const Window& writer = round % 2 ? one : two;
      const Window& reader = round % 2 ? two : one;
      must(cu.cuMemsetD32_v2(writer.base(), stamp, 2_MiB / 4), "cuMemsetD32");
      must(cu.cuMemcpyDtoH_v2(seen.data(), reader.base(), 2_MiB), "cuMemcpyDtoH");
      for (const std::uint32_t word : seen) wrong += word != stamp;
    }
    // The copy that a promotion makes: into the frame through its alias, then the switch.
    one.unmap(0, 2_MiB);
    must(cu.cuMemsetD32_v2(two.base(), stamp, 2_MiB / 4), "cuMemsetD32");
    one.map(0, frame);
    one.allow(0, 2_MiB);
    must(cu.cuMemcpyDtoH_v2(seen.data(), one.base(), 2_MiB), "cuMemcpyDtoH");
    for (const std::uint32_t word : seen) wrong += word != stamp;
    probe.append("by_place", {{"place", name_of(place)}, {"wrong_words_count", wrong}});
    all_right = all_right && wrong == 0;
  }
  probe.headline(all_right ? "the same bytes at both addresses" : "different bytes");
  if (!all_right) throw Failure("the two addresses of one frame showed different bytes");
}

}  // namespace vmm_probe
