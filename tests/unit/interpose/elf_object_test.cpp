// Compared with what the loader itself finds.
#include "interpose/elf_object.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

namespace vhbm::interpose {
namespace {

struct Search {
  bool object_found = false;
  void* symbol_found = nullptr;
};

Search search(const char* soname, const char* symbol, const char* version = nullptr) {
  for (const link_map* loaded = _r_debug.r_map; loaded != nullptr; loaded = loaded->l_next) {
    const ElfObject object(*loaded);
    if (object.is_named(soname)) return {true, object.find(symbol, version)};
  }
  return {};
}

constexpr const char* oldest_version =
#if defined(__aarch64__)
    "GLIBC_2.17";
#else
    "GLIBC_2.2.5";
#endif

TEST(ElfObject, FindsWhatTheLoaderFinds) {
  void* libc = dlopen("libc.so.6", RTLD_NOLOAD | RTLD_LAZY);
  ASSERT_NE(libc, nullptr);
  for (const char* name : {"getpid", "qsort", "environ", "printf"}) {
    EXPECT_EQ(search("libc.so.6", name).symbol_found, dlsym(libc, name)) << name;
  }
}

TEST(ElfObject, FindsAFunctionByItsVersion) {
  void* libc = dlopen("libc.so.6", RTLD_NOLOAD | RTLD_LAZY);
  ASSERT_NE(libc, nullptr);
  EXPECT_EQ(search("libc.so.6", "qsort", oldest_version).symbol_found,
            dlvsym(libc, "qsort", oldest_version));
  EXPECT_EQ(search("libc.so.6", "qsort", "GLIBC_0.0").symbol_found, nullptr);
}

TEST(ElfObject, FindsTheResolverItself) {
  const bool in_libc = search("libc.so.6", "dlsym").symbol_found != nullptr;
  EXPECT_TRUE(in_libc || search("libdl.so.2", "dlsym").symbol_found != nullptr);
}

TEST(ElfObject, FindsNothingUnderAnUnknownName) {
  const Search found = search("libc.so.6", "no_such_name_anywhere");
  EXPECT_TRUE(found.object_found);
  EXPECT_EQ(found.symbol_found, nullptr);
}

TEST(ElfObject, DoesNotTakeAnImportForADefinition) {
  // The C++ library calls malloc and does not define it.
  EXPECT_EQ(search("libstdc++.so.6", "malloc").symbol_found, nullptr);
}

TEST(ElfObject, ReadsTheOlderKindOfHashTable) {
  void* object = dlopen(SYSV_HASHED_OBJECT, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(object, nullptr) << dlerror();
  const char* soname = "libsysv_hashed_object.so";
  void* function = search(soname, "sysv_hashed_function").symbol_found;
  void* variable = search(soname, "sysv_hashed_variable").symbol_found;
  ASSERT_EQ(function, dlsym(object, "sysv_hashed_function"));
  ASSERT_EQ(variable, dlsym(object, "sysv_hashed_variable"));
  EXPECT_EQ(reinterpret_cast<int (*)()>(function)(), 42);
  EXPECT_EQ(*static_cast<int*>(variable), 43);
  EXPECT_EQ(search(soname, "sysv_hashed_hidden").symbol_found, nullptr);
  dlclose(object);
}

TEST(ElfObject, FindsNothingInAnObjectWithoutADynamicSection) {
  const link_map nothing{};
  const ElfObject object(nothing);
  EXPECT_FALSE(object.is_named(""));
  EXPECT_EQ(object.find("getpid"), nullptr);
}

}  // namespace
}  // namespace vhbm::interpose
