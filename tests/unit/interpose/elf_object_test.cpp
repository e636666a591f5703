// Compared with what the loader itself finds.
#include "interpose/elf_object.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace vhbm::interpose {
namespace {

struct Search {
  const char* soname;
  const char* symbol;
  const char* version;
  bool object_found = false;
  void* symbol_found = nullptr;
};

int look(dl_phdr_info* info, std::size_t, void* data) {
  auto* search = static_cast<Search*>(data);
  const ElfObject object(*info);
  if (std::string(object.soname()) != search->soname) return 0;
  search->object_found = true;
  search->symbol_found = object.find(search->symbol, search->version);
  return 1;
}

Search search(const char* soname, const char* symbol, const char* version = nullptr) {
  Search search{soname, symbol, version};
  dl_iterate_phdr(&look, &search);
  return search;
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
  const dl_phdr_info nothing{};
  const ElfObject object(nothing);
  EXPECT_STREQ(object.soname(), "");
  EXPECT_EQ(object.find("getpid"), nullptr);
}

}  // namespace
}  // namespace vhbm::interpose
