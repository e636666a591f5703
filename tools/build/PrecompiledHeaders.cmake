# Headers that are parsed once a library, and once for all tests, instead of once a file: that is often
# half of what a file takes. Included last, when the targets are there. No source relies on it: all
# compile without, as they do under ccache, which cannot keep what was compiled so.
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

# The tests, which share one set: compiled as executables are.
find_package(GTest REQUIRED)
set(empty ${CMAKE_CURRENT_BINARY_DIR}/test_headers.cpp)
file(CONFIGURE OUTPUT ${empty} CONTENT "")
add_library(test_headers OBJECT ${empty})
set_target_properties(test_headers PROPERTIES POSITION_INDEPENDENT_CODE OFF)
target_compile_options(test_headers PRIVATE ${VHBM_SOON_BUILT} -fPIE)
target_link_libraries(test_headers PRIVATE GTest::gtest)
target_precompile_headers(test_headers PRIVATE ${common_headers} <gtest/gtest.h>)

function(share_precompiled_headers directory)
  get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    get_target_property(libraries ${target} LINK_LIBRARIES)
    if(type STREQUAL "EXECUTABLE" AND "GTest::gtest_main" IN_LIST libraries)
      target_precompile_headers(${target} REUSE_FROM test_headers)
    endif()
  endforeach()
  get_property(subdirectories DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
  foreach(subdirectory IN LISTS subdirectories)
    share_precompiled_headers(${subdirectory})
  endforeach()
endfunction()
share_precompiled_headers(${PROJECT_SOURCE_DIR})
