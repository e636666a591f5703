// The ways to a driver function, each with the answer it must get. Run with libvhbm.so preloaded,
// and with object_between linked in front of the driver.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <map>

#include "loaded_functions.h"

extern "C" {
int object_between_calls();
void* object_between_next(const char* name);
void* object_between_default(const char* name);
}

namespace {

void* libcuda() {
  return dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY);
}

TEST(LinkedRoute, IsTheHook) {
  EXPECT_TRUE(is_ours(reinterpret_cast<void*>(&cuMemAlloc_v2)));
  EXPECT_TRUE(is_ours(reinterpret_cast<void*>(&cuLaunchKernel_ptsz)));
  EXPECT_FALSE(is_ours(reinterpret_cast<void*>(&cuDeviceGet)));
}

TEST(DlsymRoute, GivesTheHookOfEveryVariantThatTheDriverHas) {
  int answered = 0;
  for (const std::string& symbol : hooked_symbols()) {
    void* answer = dlsym(libcuda(), symbol.c_str());
    if (defined_in("libcuda.so.1", symbol.c_str()) == nullptr) {
      EXPECT_EQ(answer, nullptr) << symbol;
      continue;
    }
    ++answered;
    EXPECT_EQ(owner_of(answer).file, "libvhbm.so") << symbol;
    EXPECT_EQ(owner_of(answer).symbol, symbol);
  }
  EXPECT_GT(answered, 100);
  std::printf("%d hooked variants answered\n", answered);
}

TEST(DlsymRoute, GivesTheDriversOwnFunctionWhereNothingIsHooked) {
  for (const char* symbol :
       {"cuDeviceGet", "cuDriverGetVersion", "cuEventQuery", "cuModuleLoadData"}) {
    EXPECT_EQ(dlsym(libcuda(), symbol), defined_in("libcuda.so.1", symbol)) << symbol;
  }
}

TEST(DlsymRoute, LeavesOtherLibrariesAlone) {
  void* libc = dlopen("libc.so.6", RTLD_NOLOAD | RTLD_LAZY);
  EXPECT_EQ(dlsym(libc, "qsort"), defined_in("libc.so.6", "qsort"));
  // A name like the driver's, in a library that is not the driver.
  void* between = dlopen("libobject_between.so", RTLD_NOLOAD | RTLD_LAZY);
  ASSERT_NE(between, nullptr);
  EXPECT_EQ(dlsym(between, "object_between_calls"), reinterpret_cast<void*>(&object_between_calls));
}

TEST(DlsymRoute, KeepsTheMessageOfAFailureAndLeavesNoneAfterSuccess) {
  dlerror();
  EXPECT_NE(dlsym(libcuda(), "cuMemAlloc_v2"), nullptr);
  EXPECT_EQ(dlerror(), nullptr);
  EXPECT_EQ(dlsym(libcuda(), "cuNoSuchFunction"), nullptr);
  const char* message = dlerror();
  ASSERT_NE(message, nullptr);
  EXPECT_NE(std::string(message).find("cuNoSuchFunction"), std::string::npos) << message;
}

TEST(DlsymRoute, KeepsTheCallersMeaningOfNext) {
  // After this program come the preloaded library, then the object between, then the driver.
  EXPECT_TRUE(is_ours(dlsym(RTLD_NEXT, "cuMemGetInfo_v2")));
  EXPECT_EQ(object_between_next("cuMemGetInfo_v2"), defined_in("libcuda.so.1", "cuMemGetInfo_v2"));
  EXPECT_EQ(object_between_next("cuMemAlloc_v2"), defined_in("libcuda.so.1", "cuMemAlloc_v2"));
}

TEST(DlsymRoute, KeepsTheCallersMeaningOfDefault) {
  EXPECT_TRUE(is_ours(dlsym(RTLD_DEFAULT, "cuMemGetInfo_v2")));
  EXPECT_TRUE(is_ours(object_between_default("cuMemGetInfo_v2")));
  // The first of this name is the object's.
  EXPECT_EQ(owner_of(object_between_default("cuDeviceGetCount")).file, "libobject_between.so");
  EXPECT_EQ(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"),
            defined_in("libc.so.6", "gnu_get_libc_version"));
}

TEST(DlsymRoute, ServesEveryVersionThatProgramsWereLinkedWith) {
  const char* oldest =
#if defined(__aarch64__)
      "GLIBC_2.17";
#else
      "GLIBC_2.2.5";
#endif
  for (const char* resolver : {"dlsym", "dlvsym"}) {
    for (const char* version : {oldest, "GLIBC_2.34"}) {
      EXPECT_TRUE(is_ours(dlvsym(RTLD_DEFAULT, resolver, version))) << resolver << "@" << version;
    }
  }
  const auto old_dlsym =
      reinterpret_cast<void* (*)(void*, const char*)>(dlvsym(RTLD_DEFAULT, "dlsym", oldest));
  EXPECT_TRUE(is_ours(old_dlsym(libcuda(), "cuMemAlloc_v2")));
}

TEST(DlvsymRoute, KeepsItsVersionsAndAnswersWithHooks) {
  void* libc = dlopen("libc.so.6", RTLD_NOLOAD | RTLD_LAZY);
  EXPECT_EQ(dlvsym(libc, "qsort", "GLIBC_0.0"), nullptr);
  // A library without versions answers to any.
  void* answer = dlvsym(libcuda(), "cuMemAlloc_v2", "ANY_1");
  EXPECT_TRUE(answer == nullptr || is_ours(answer));
}

// Asks the driver itself, and then as programs do: whatever it answers, the answer is that very
// function's hook, or the function itself where nothing is hooked.
void compare(const char* name, int version, cuuint64_t flags, std::map<std::string, int>& seen) {
  const auto real = reinterpret_cast<decltype(&cuGetProcAddress_v2)>(
      defined_in("libcuda.so.1", "cuGetProcAddress_v2"));
  ASSERT_NE(real, nullptr);
  void *expected = nullptr, *answer = nullptr;
  CUdriverProcAddressQueryResult expected_status{}, status{};
  const CUresult expected_result = real(name, &expected, version, flags, &expected_status);
  ASSERT_EQ(cuGetProcAddress_v2(name, &answer, version, flags, &status), expected_result);
  ASSERT_EQ(status, expected_status);
  if (expected == nullptr) {
    ASSERT_EQ(answer, nullptr) << name;
    return;
  }
  const std::string variant = owner_of(expected).symbol;
  if (!is_hooked(variant)) {
    ASSERT_EQ(answer, expected) << name;
    return;
  }
  ++seen[variant];
  ASSERT_EQ(owner_of(answer).file, "libvhbm.so") << name << " " << version << " " << flags;
  ASSERT_EQ(owner_of(answer).symbol, variant) << name << " " << version << " " << flags;
}

TEST(ProcAddressRoute, AnswersWithTheHookOfTheVariantThatTheDriverChose) {
  std::map<std::string, int> seen;
  for (const std::string& name : hooked_names()) {
    for (int version : {2000, 3020, 4000, 7000, 10000, 11000, 11040, 12000, 12080, 13000}) {
      for (cuuint64_t flags : {CU_GET_PROC_ADDRESS_DEFAULT, CU_GET_PROC_ADDRESS_LEGACY_STREAM,
                               CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM}) {
        compare(name.c_str(), version, flags, seen);
        if (HasFatalFailure()) return;
      }
    }
  }
  for (const char* variant :
       {"cuLaunchKernel", "cuLaunchKernel_ptsz", "cuMemcpyHtoD_v2", "cuMemcpyHtoD_v2_ptds",
        "cuMemsetD8Async_ptsz", "cuCtxCreate_v2", "cuCtxCreate_v3", "cuCtxCreate_v4",
        "cuGetProcAddress", "cuGetProcAddress_v2", "cuStreamBeginCapture_v2_ptsz"}) {
    EXPECT_GT(seen[variant], 0) << variant;
  }
}

TEST(ProcAddressRoute, AnswersAllThatTheSimulatedRuntimeAsksFor) {
  std::map<std::string, int> seen;
  int asked = 0;
  const auto ask = [&](const char* name, int version, cuuint64_t flags) {
    EXPECT_TRUE(is_hooked_name(name) || is_passed_through(name)) << name;
    compare(name, version, flags, seen);
    ++asked;
  };
#define DRIVER(name, version) ask("cu" #name, version, CU_GET_PROC_ADDRESS_DEFAULT);
#define STREAM_DRIVER(name, version, per_thread_version) \
  ask("cu" #name, version, CU_GET_PROC_ADDRESS_DEFAULT); \
  ask("cu" #name, per_thread_version, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
#include "tools/simgpu/cudart/driver.def"
#undef STREAM_DRIVER
#undef DRIVER
  std::printf("%d requests, %zu variants of hooked functions\n", asked, seen.size());
  EXPECT_GT(asked, 100);
  EXPECT_GT(seen.size(), 50u);
}

TEST(ProcAddressRoute, PassesOnWhatIsNotHooked) {
  std::map<std::string, int> seen;
  for (const char* name :
       {"cuDeviceGet", "cuEventQuery", "cuNoSuchFunction", "", "cuEventCreate"}) {
    compare(name, 13000, CU_GET_PROC_ADDRESS_DEFAULT, seen);
  }
  compare("cuMemAlloc", 99000, CU_GET_PROC_ADDRESS_DEFAULT, seen);
  compare("cuMemAlloc", 13000, 77, seen);
}

TEST(ProcAddressRoute, NeedsNoStatus) {
  void* answer = nullptr;
  ASSERT_EQ(cuGetProcAddress_v2("cuMemAlloc", &answer, 12000, 0, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(owner_of(answer).symbol, "cuMemAlloc_v2");
  answer = nullptr;
  ASSERT_EQ(cuGetProcAddress("cuMemFree", &answer, 12000, 0), CUDA_SUCCESS);
  EXPECT_EQ(owner_of(answer).symbol, "cuMemFree_v2");
  EXPECT_EQ(cuGetProcAddress_v2("cuMemAlloc", nullptr, 12000, 0, nullptr),
            CUDA_ERROR_INVALID_VALUE);
}

TEST(ProcAddressRoute, AnswersWithItselfSoThatWhatFollowsIsSeenToo) {
  void* answer = nullptr;
  ASSERT_EQ(cuGetProcAddress_v2("cuGetProcAddress", &answer, 12000, 0, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(answer, reinterpret_cast<void*>(&cuGetProcAddress_v2));
  void* by_it = nullptr;
  ASSERT_EQ(
      reinterpret_cast<decltype(&cuGetProcAddress_v2)>(answer)(
          "cuLaunchKernel", &by_it, 7000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, nullptr),
      CUDA_SUCCESS);
  EXPECT_EQ(by_it, reinterpret_cast<void*>(&cuLaunchKernel_ptsz));
}

TEST(Stacking, CallsTheNextDefinitionAndNeverTurnsInACircle) {
  ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
  CUdevice device = 0;
  CUcontext context = nullptr;
  ASSERT_EQ(cuDeviceGet(&device, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&context, device), CUDA_SUCCESS);
  ASSERT_EQ(cuCtxSetCurrent(context), CUDA_SUCCESS);
  const int before = object_between_calls();
  std::size_t free = 0, total = 0;
  ASSERT_EQ(cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
  EXPECT_EQ(object_between_calls(), before + 1);
  EXPECT_GT(total, 0u);
  EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(device), CUDA_SUCCESS);
}

}  // namespace
