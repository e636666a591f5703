# Headers that are parsed once a library instead of once a file: that is often half of what a file
# takes. Included last, when the targets are there. No source relies on it: all compile without, as
# they do under ccache, which cannot keep what was compiled so.
if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES "ccache" OR CMAKE_DISABLE_PRECOMPILE_HEADERS)
  return()
endif()

set(common_headers <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <cstdio>
  <cstdlib> <cstring> <deque> <functional> <map> <memory> <mutex> <optional> <set> <span> <string>
  <string_view> <thread> <unordered_map> <utility> <vector>)

# The libraries, each compiled in its own way.
target_precompile_headers(simgpu PRIVATE ${common_headers} <variant> <cuda.h>
                          ${PROJECT_SOURCE_DIR}/tools/simgpu/driver/machine.h)
target_precompile_headers(vhbm_runtime PRIVATE ${common_headers} <fmt/core.h> <cuda.h>)
target_precompile_headers(vhbm_library PRIVATE
  "$<$<COMPILE_LANGUAGE:CXX>:${PROJECT_SOURCE_DIR}/interpose/session.h>")

# Not for what declares the driver's functions in its own way, nor for what runs before a sanitizer
# does and is compiled so.
function(skip_precompiled_headers directory)
  list(TRANSFORM ARGN PREPEND ${PROJECT_SOURCE_DIR}/${directory}/)
  set_source_files_properties(${ARGN} DIRECTORY ${PROJECT_SOURCE_DIR}/${directory}
                              PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endfunction()
skip_precompiled_headers(tools/simgpu/driver api/unsupported.cpp)
skip_precompiled_headers(interpose dlsym_hook.cpp elf_object.cpp linkage.cpp real_dlsym.cpp)
