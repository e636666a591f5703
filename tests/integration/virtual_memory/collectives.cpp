// As NCCL does (src/include/alloc.h, src/transport/p2p.cc, src/register/): buffers are created with
// a file descriptor for other ranks, which import it and map the memory beside their own; host
// memory of cuMemCreate stands beside them; what users register is walked segment by segment, each
// retained for a moment; and freeing finds the handle by the address.
#include "program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

extern char** environ;

namespace {

constexpr auto file_type = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
constexpr const char* file_variable = "COLLECTIVES_FILE";
constexpr std::size_t buffer_size = 2 * mebibyte;

CUdeviceptr map_here(Program& program, CUmemGenericAllocationHandle handle, std::size_t size) {
  const CUdeviceptr address = program.reserve(size);
  program.map(address, size, handle);
  program.open(address, size);
  return address;
}

CUdeviceptr allocate(Program& program, std::size_t size) {
  return map_here(program, program.create(size, program.on_device(file_type)), size);
}

// The handle that allocate() got is still to be released.
void free_memory(Program& program, CUdeviceptr address) {
  CUmemGenericAllocationHandle handle = 0;
  std::size_t size = 0;
  program.synchronize();
  CHECK(cuMemRetainAllocationHandle(&handle, reinterpret_cast<void*>(address)));
  CHECK(cuMemRelease(handle));
  CHECK(cuMemGetAddressRange(nullptr, &size, address));
  CHECK(cuMemUnmap(address, size));
  CHECK(cuMemRelease(handle));
  CHECK(cuMemAddressFree(address, size));
}

int export_file(CUdeviceptr address) {
  CUmemGenericAllocationHandle handle = 0;
  int file = -1;
  CHECK(cuMemRetainAllocationHandle(&handle, reinterpret_cast<void*>(address)));
  CHECK(cuMemExportToShareableHandle(&file, handle, file_type, 0));
  CHECK(cuMemRelease(handle));
  return file;
}

// The handle is released at once: the mapping keeps the memory.
CUdeviceptr import_file(Program& program, int file) {
  CUmemGenericAllocationHandle handle = 0;
  CHECK(cuMemImportFromShareableHandle(
      &handle, reinterpret_cast<void*>(static_cast<std::intptr_t>(file)), file_type));
  const CUdeviceptr address = map_here(program, handle, buffer_size);
  CHECK(cuMemRelease(handle));
  return address;
}

// Another process maps the memory behind the file and works on it.
void let_peer_work(int file) {
  fcntl(file, F_SETFD, 0);
  setenv(file_variable, std::to_string(file).c_str(), 1);
  char program[] = "virtual_memory", peer[] = "collectives_peer";
  char* const arguments[] = {program, peer, nullptr};
  pid_t child = 0;
  int status = 1;
  std::fflush(stdout);
  if (posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments, environ) != 0 ||
      waitpid(child, &status, 0) != child || status != 0) {
    std::fprintf(stderr, "the peer failed\n");
    std::exit(1);
  }
}

// Segments of device and host memory, one after the other in one reservation.
void walk_segments(Program& program) {
  const std::size_t sizes[] = {2 * mebibyte, 6 * mebibyte, 4 * mebibyte};
  CUmemAllocationProp on_host{};
  on_host.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  on_host.location = {CU_MEM_LOCATION_TYPE_HOST_NUMA, 0};
  on_host.requestedHandleTypes = file_type;
  const CUdeviceptr begin = program.reserve(16 * mebibyte);
  CUdeviceptr end = begin;
  for (const std::size_t size : sizes) {
    const bool host = end == begin + sizes[0] + sizes[1];
    const CUmemGenericAllocationHandle handle =
        program.create(size, host ? on_host : program.on_device(file_type));
    program.map(end, size, handle);
    program.open(end, size);
    CHECK(cuMemRelease(handle));
    end += size;
  }
  program.fill(begin, end - begin);
  program.compute(begin, end - begin);
  for (CUdeviceptr next = begin; next < end;) {
    CUdeviceptr base = 0;
    std::size_t size = 0;
    CUmemGenericAllocationHandle handle = 0;
    CUmemAllocationProp properties{};
    CHECK(cuMemGetAddressRange(&base, &size, next + 4096));
    CHECK(cuMemRetainAllocationHandle(&handle, reinterpret_cast<void*>(base)));
    CHECK(cuMemGetAllocationPropertiesFromHandle(&properties, handle));
    program.say("segment at " + std::to_string(base - begin) + " of " + std::to_string(size) +
                ", location " + std::to_string(properties.location.type));
    CHECK(cuMemRelease(handle));
    next = base + size;
  }
  program.digest(begin, end - begin);
  CHECK(cuMemUnmap(begin, end - begin));
  CHECK(cuMemAddressFree(begin, 16 * mebibyte));
}

}  // namespace

void collectives(Program& program) {
  std::vector<CUdeviceptr> buffers, peers, tensors;
  for (int i = 0; i < 6; ++i) {
    tensors.push_back(allocate(program, 6 * mebibyte));
    program.fill(tensors.back(), 6 * mebibyte);
  }
  for (int i = 0; i < 3; ++i) {
    buffers.push_back(allocate(program, buffer_size));
    program.fill(buffers.back(), buffer_size);
  }
  for (int round = 0; round < 4; ++round) {
    for (const CUdeviceptr tensor : tensors) program.compute(tensor, 6 * mebibyte);
    if (round == 1) {
      // The ranks connect, while their work is under way.
      for (const CUdeviceptr buffer : buffers) {
        const int file = export_file(buffer);
        peers.push_back(import_file(program, file));
        close(file);
      }
    }
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      program.compute(buffers[i], buffer_size);
      if (!peers.empty()) program.compute(peers[i], buffer_size);
    }
    if (round == 2) {
      program.synchronize();
      const int file = export_file(buffers[0]);
      let_peer_work(file);
      close(file);
    }
    for (const CUdeviceptr buffer : buffers) program.digest(buffer, buffer_size);
    walk_segments(program);
  }
  for (const CUdeviceptr tensor : tensors) program.digest(tensor, 6 * mebibyte);
  for (const CUdeviceptr peer : peers) {
    program.digest(peer, buffer_size);
    CHECK(cuMemUnmap(peer, buffer_size));
    CHECK(cuMemAddressFree(peer, buffer_size));
  }
  for (const CUdeviceptr buffer : buffers) free_memory(program, buffer);
  for (const CUdeviceptr tensor : tensors) free_memory(program, tensor);
}

void collectives_peer(Program& program) {
  const char* file = std::getenv(file_variable);
  if (file == nullptr) std::exit(2);
  const CUdeviceptr address = import_file(program, std::atoi(file));
  program.compute(address, buffer_size);
  program.digest(address, buffer_size);
  CHECK(cuMemUnmap(address, buffer_size));
  CHECK(cuMemAddressFree(address, buffer_size));
}
