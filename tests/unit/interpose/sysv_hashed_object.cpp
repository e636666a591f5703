// A few names of each kind, for elf_object_test.cpp.
extern "C" {

int sysv_hashed_function() {
  return 42;
}
int sysv_hashed_variable = 43;
[[gnu::visibility("hidden")]] int sysv_hashed_hidden() {
  return 44;
}

}  // extern "C"
