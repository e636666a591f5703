#include "module/image.h"

#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <iterator>

namespace simgpu {
namespace {

#if defined(__x86_64__)
constexpr unsigned kHostMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned kHostMachine = EM_AARCH64;
#endif
constexpr std::uint32_t kFatBinary = 0xba55ed50, kFatBinaryWrapper = 0x466243b1;

// The API gives no length: an ELF file ends where its section headers end.
CUresult elf_size(const void* image, std::size_t* size) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, EI_NIDENT);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    std::uint32_t magic;
    std::memcpy(&magic, image, sizeof magic);
    const bool other_gpu = magic == kFatBinary || magic == kFatBinaryWrapper;
    return other_gpu ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_ERROR_INVALID_IMAGE;
  }
  std::memcpy(&header, image, sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kHostMachine) {
    return CUDA_ERROR_NO_BINARY_FOR_GPU;
  }
  if (header.e_type != ET_DYN) return CUDA_ERROR_INVALID_IMAGE;
  *size = header.e_shoff + std::size_t{header.e_shnum} * header.e_shentsize;
  return CUDA_SUCCESS;
}

// The loader takes two files of one name for one library, and descriptor numbers come back. So each
// path is spelled differently: the load's number, in binary, as "/." and "/" in the middle of it.
std::string path_of(int file) {
  static std::atomic<std::uint32_t> loads{0};
  std::string path = "/proc/self";
  for (std::uint32_t number = loads.fetch_add(1) + 1; number != 0; number >>= 1) {
    path += (number & 1) != 0 ? "/." : "/";
  }
  return path + "/fd/" + std::to_string(file);
}

}  // namespace

CUresult ModuleImage::load(const void* image, std::shared_ptr<ModuleImage>* out) {
  std::size_t size = 0;
  if (CUresult result = elf_size(image, &size); result != CUDA_SUCCESS) return result;
  // A file of its own, so that each load has its own variables, as on a GPU.
  const int file = memfd_create("simgpu-module", MFD_CLOEXEC);
  if (file < 0) return CUDA_ERROR_OUT_OF_MEMORY;
  bool written = true;
  for (std::size_t done = 0; written && done < size;) {
    const ssize_t count = write(file, static_cast<const char*>(image) + done, size - done);
    written = count > 0;
    if (written) done += static_cast<std::size_t>(count);
  }
  auto loaded = std::make_shared<ModuleImage>();
  if (written) loaded->handle = dlopen(path_of(file).c_str(), RTLD_NOW | RTLD_LOCAL);
  close(file);
  if (!written) return CUDA_ERROR_OUT_OF_MEMORY;
  if (loaded->handle == nullptr) return CUDA_ERROR_INVALID_IMAGE;
  loaded->table = static_cast<const SimgpuModule*>(dlsym(loaded->handle, SIMGPU_MODULE_SYMBOL));
  loaded->globals = static_cast<const SimgpuGlobals*>(dlsym(loaded->handle, SIMGPU_GLOBALS_SYMBOL));
  if (loaded->table == nullptr || loaded->table->abi != SIMGPU_MODULE_ABI) {
    return CUDA_ERROR_INVALID_IMAGE;
  }
  *out = std::move(loaded);
  return CUDA_SUCCESS;
}

CUresult ModuleImage::load_file(const char* path, std::shared_ptr<ModuleImage>* out) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return CUDA_ERROR_FILE_NOT_FOUND;
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (bytes.size() < sizeof(Elf64_Ehdr)) return CUDA_ERROR_INVALID_IMAGE;
  return load(bytes.data(), out);
}

ModuleImage::~ModuleImage() {
  if (handle != nullptr) dlclose(handle);
}

const SimgpuKernel* ModuleImage::find_kernel(const char* name) const {
  for (std::uint32_t i = 0; i < table->kernel_count; ++i) {
    if (std::strcmp(table->kernels[i].name, name) == 0) return &table->kernels[i];
  }
  return nullptr;
}

const SimgpuGlobal* ModuleImage::find_global(const char* name) const {
  for (std::uint32_t i = 0; globals != nullptr && i < globals->count; ++i) {
    if (std::strcmp(globals->globals[i].name, name) == 0) return &globals->globals[i];
  }
  return nullptr;
}

}  // namespace simgpu
