// Looks at loaded objects past every interposer, so that tests can tell whose function a pointer
// is.
#pragma once

#include <cuda.h>

#include <string>
#include <vector>

struct Owner {
  std::string file;    // the object's base name
  std::string symbol;  // the function's name there
};

// By the loader's own records.
Owner owner_of(const void* function);

inline bool is_ours(const void* function) {
  return owner_of(function).file == "libvhbm.so";
}

// The function that the object of this soname defines, read from its symbol table; nullptr without
// one.
void* defined_in(const char* soname, const char* symbol);

// The symbols of the product's table.
const std::vector<std::string>& hooked_symbols();
// The names that cuGetProcAddress is asked for.
const std::vector<std::string>& hooked_names();
// Whether this name, without a variant's suffix, stands in the table of what is passed through.
bool is_passed_through(const std::string& name);
bool is_hooked(const std::string& symbol);
bool is_hooked_name(const std::string& name);
