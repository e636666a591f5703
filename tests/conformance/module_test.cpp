// Modules, libraries and functions.
#include <cstring>

#include "conformance_kernels.h"
#include "on_device.h"

using namespace conformance;

namespace {

class Module : public OnDevice {
 protected:
  CUresult load(CUlibrary* library) {
    CUresult result = CUDA_ERROR_INVALID_IMAGE;
    for (const auto& image : conformance_kernels_images()) {
      result = cuLibraryLoadData(library, image.data, nullptr, nullptr, 0, nullptr, nullptr, 0);
      if (result == CUDA_SUCCESS) break;
    }
    return result;
  }
};

TEST_F(Module, WhatIsNoImageIsRefused) {
  const char text[256] = "this is no GPU code";
  CUmodule module = nullptr;
  EXPECT_NE(cuModuleLoadData(&module, text), CUDA_SUCCESS);
}

TEST_F(Module, MissingFilesAreNotFound) {
  CUmodule module = nullptr;
  EXPECT_EQ(cuModuleLoad(&module, "/nowhere/at/all.cubin"), CUDA_ERROR_FILE_NOT_FOUND);
}

TEST_F(Module, MissingFunctionsAreNotFound) {
  CUfunction function = nullptr;
  EXPECT_EQ(cuModuleGetFunction(&function, module_, "no_such_kernel"), CUDA_ERROR_NOT_FOUND);
}

TEST_F(Module, TheSameNameGivesTheSameFunction) {
  EXPECT_EQ(kernel("fill"), kernel("fill"));
}

TEST_F(Module, VariablesHaveAnAddressAndASize) {
  CUdeviceptr address = 0;
  std::size_t size = 0;
  OK(cuModuleGetGlobal(&address, &size, module_, "module_counter"));
  EXPECT_EQ(size, sizeof(unsigned));
  unsigned value = 0;
  OK(cuMemcpyDtoH(&value, address, sizeof value));
  EXPECT_EQ(value, 41u);
  OK(cuLaunchKernel(kernel("bump_counter"), 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr));
  OK(cuCtxSynchronize());
  OK(cuMemcpyDtoH(&value, address, sizeof value));
  EXPECT_EQ(value, 42u);
}

TEST_F(Module, EachLoadHasVariablesOfItsOwn) {
  CUmodule other = nullptr;
  OK(gpu_image::load(conformance_kernels_images(), &other));
  CUdeviceptr first = 0, second = 0;
  OK(cuModuleGetGlobal(&first, nullptr, module_, "module_counter"));
  OK(cuModuleGetGlobal(&second, nullptr, other, "module_counter"));
  EXPECT_NE(first, second);
  OK(cuModuleUnload(other));
}

TEST_F(Module, MissingVariablesAreNotFound) {
  CUdeviceptr address = 0;
  EXPECT_EQ(cuModuleGetGlobal(&address, nullptr, module_, "no_such_variable"),
            CUDA_ERROR_NOT_FOUND);
}

TEST_F(Module, LibrariesGiveKernelsThatLaunchAsFunctions) {
  // cuda.h, cuLaunchKernel: "can also be used to launch context-less kernel CUkernel … by casting
  // to CUfunction"
  CUlibrary library = nullptr;
  CUkernel fill = nullptr;
  OK(load(&library));
  OK(cuLibraryGetKernel(&fill, library, "fill"));
  const CUdeviceptr memory = allocate(4096);
  OK(launch(reinterpret_cast<CUfunction>(fill), 1024, nullptr, memory, 14u, 1024u));
  EXPECT_EQ(read(memory, 1024), Words(1024, 14u));
  OK(cuLibraryUnload(library));
}

TEST_F(Module, AKernelHasAFunctionInTheCurrentContext) {
  CUlibrary library = nullptr;
  CUkernel fill = nullptr;
  CUfunction function = nullptr;
  OK(load(&library));
  OK(cuLibraryGetKernel(&fill, library, "fill"));
  OK(cuKernelGetFunction(&function, fill));
  const CUdeviceptr memory = allocate(4096);
  OK(launch(function, 1024, nullptr, memory, 15u, 1024u));
  EXPECT_EQ(read(memory, 1024), Words(1024, 15u));
  OK(cuLibraryUnload(library));
}

TEST_F(Module, MissingKernelsAreNotFound) {
  CUlibrary library = nullptr;
  CUkernel none = nullptr;
  OK(load(&library));
  EXPECT_EQ(cuLibraryGetKernel(&none, library, "no_such_kernel"), CUDA_ERROR_NOT_FOUND);
  OK(cuLibraryUnload(library));
}

#if CUDA_VERSION >= 12040
TEST_F(Module, ParametersHaveTheirOffsetsAndSizes) {
  // cuda.h, cuFuncGetParamInfo: "the offset and size, respectively, where the parameter will
  // reside in the device-side parameter layout"; store_pair(char, {8 bytes, 4 bytes}, double)
  const std::size_t expected[][2] = {{0, 1}, {8, 16}, {24, 8}};
  for (std::size_t i = 0; i < 3; ++i) {
    std::size_t offset = 99, size = 99;
    OK(cuFuncGetParamInfo(kernel("store_pair"), i, &offset, &size));
    EXPECT_EQ(offset, expected[i][0]) << i;
    EXPECT_EQ(size, expected[i][1]) << i;
  }
}

TEST_F(Module, ParametersEndWithInvalidValue) {
  std::size_t offset = 0, size = 0;
  EXPECT_EQ(cuFuncGetParamInfo(kernel("store_pair"), 3, &offset, &size), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuFuncGetParamInfo(kernel("bump_counter"), 0, &offset, &size),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(Module, FunctionsKnowTheirNames) {
  const char* name = nullptr;
  OK(cuFuncGetName(&name, kernel("block_sum")));
  EXPECT_STREQ(name, "block_sum");
}
#endif

TEST_F(Module, FunctionsKnowTheirModule) {
  CUmodule module = nullptr;
  OK(cuFuncGetModule(&module, kernel("fill")));
  EXPECT_EQ(module, module_);
}

TEST_F(Module, FunctionsTellHowManyThreadsABlockMayHave) {
  int threads = 0;
  OK(cuFuncGetAttribute(&threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, kernel("fill")));
  EXPECT_GE(threads, 256);
  EXPECT_LE(threads, 1024);
}

}  // namespace
