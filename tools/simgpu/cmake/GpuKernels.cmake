# add_gpu_kernels(NAME SOURCE.cu [REAL_ONLY] [SIM_ONLY])
#
# Builds one kernel source for real GPUs (nvcc: sm_90 code and PTX) and for the simulated one (a host
# compiler: an ELF module, without sanitizers' instrumentation unless VHBM_SANITIZE is set), embeds both
# in a static library NAME, and generates NAME.h:
#     std::span<const gpu_image::Image> NAME_images();
set(VHBM_NVCC_ARCH 90 CACHE STRING "Compute capability that kernels are built for (PTX goes along)")
set(VHBM_SIMGPU_DIR ${CMAKE_CURRENT_LIST_DIR}/..)

function(add_gpu_kernels name source)
  cmake_parse_arguments(ARG "REAL_ONLY;SIM_ONLY" "" "" ${ARGN})
  cmake_path(ABSOLUTE_PATH source OUTPUT_VARIABLE source)
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/${name}.dir)
  file(MAKE_DIRECTORY ${dir})
  set(rows "")
  set(declarations "")
  set(assembly "")
  set(images "")
  if(NOT ARG_SIM_ONLY)
    set(fatbin ${dir}/${name}.fatbin)
    add_custom_command(OUTPUT ${fatbin}
      COMMAND ${CUDAToolkit_NVCC_EXECUTABLE} -std=c++17 -O3 -fatbin
              -gencode arch=compute_${VHBM_NVCC_ARCH},code=[sm_${VHBM_NVCC_ARCH},compute_${VHBM_NVCC_ARCH}]
              -I ${VHBM_SIMGPU_DIR}/include -I ${CMAKE_CURRENT_SOURCE_DIR}
              -MD -MF ${fatbin}.d -o ${fatbin} ${source}
      DEPENDS ${source} DEPFILE ${fatbin}.d VERBATIM
      COMMENT "nvcc ${name}.fatbin")
    list(APPEND images "real" "${fatbin}" "sm_${VHBM_NVCC_ARCH} fatbin")
  endif()
  if(NOT ARG_REAL_ONLY)
    set(module ${name}_simulated)
    set_source_files_properties(${source} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++")
    add_library(${module} MODULE ${source})
    target_include_directories(${module} PRIVATE ${VHBM_SIMGPU_DIR}/include ${CUDAToolkit_INCLUDE_DIRS})
    target_compile_options(${module} PRIVATE -O3 -fvisibility=hidden -Wno-unknown-pragmas
                                             -Wno-unused-value -Wno-parentheses)
    if(VHBM_SANITIZE STREQUAL "address")
      # A kernel's bad access is the simulated driver's to report.
      target_compile_options(${module} PRIVATE -fno-sanitize=null,alignment,object-size)
    endif()
    set_target_properties(${module} PROPERTIES PREFIX "" SUFFIX ".simgpu"
                          LIBRARY_OUTPUT_DIRECTORY ${dir})
    list(APPEND images "simulated" "${dir}/${module}.simgpu" "simulated GPU")
  endif()
  set(depends "")
  while(images)
    list(POP_FRONT images kind file label)
    list(APPEND depends ${file})
    string(APPEND assembly ".balign 64\n.globl ${name}_${kind}\n.hidden ${name}_${kind}\n${name}_${kind}:\n"
                           ".incbin \"${file}\"\n.globl ${name}_${kind}_end\n"
                           ".hidden ${name}_${kind}_end\n${name}_${kind}_end:\n.byte 0\n")
    string(APPEND declarations "extern \"C\" const char ${name}_${kind}[], ${name}_${kind}_end[];\n")
    string(APPEND rows "      {${name}_${kind}, std::size_t(${name}_${kind}_end - ${name}_${kind}), \"${label}\"},\n")
  endwhile()
  file(GENERATE OUTPUT ${dir}/${name}_data.S CONTENT
    ".section .rodata\n${assembly}.section .note.GNU-stack,\"\",@progbits\n")
  file(GENERATE OUTPUT ${dir}/${name}.cpp CONTENT
    "#include \"${name}.h\"\n${declarations}std::span<const gpu_image::Image> ${name}_images() {\n  static const gpu_image::Image images[] = {\n${rows}  };\n  return images;\n}\n")
  file(GENERATE OUTPUT ${dir}/${name}.h CONTENT
    "#pragma once\n#include \"simgpu/gpu_image.h\"\nstd::span<const gpu_image::Image> ${name}_images();\n")
  add_library(${name} STATIC ${dir}/${name}_data.S ${dir}/${name}.cpp)
  set_source_files_properties(${dir}/${name}_data.S PROPERTIES OBJECT_DEPENDS "${depends}")
  if(NOT ARG_REAL_ONLY)
    add_dependencies(${name} ${module})
  endif()
  target_include_directories(${name} PUBLIC ${dir} ${VHBM_SIMGPU_DIR}/include ${CUDAToolkit_INCLUDE_DIRS})
endfunction()

# A program that talks to the driver: it links the toolkit's stub, and meets the real or the simulated
# libcuda.so.1 when it is started.
function(add_cuda_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE CUDA::cuda_driver Threads::Threads)
endfunction()
