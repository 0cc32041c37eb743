# The CPU kernels (kernels/*_cpu.cpp) are compiled once for each instruction set, each into a namespace of its own;
# kernels/launch.hpp picks one at run time.
file(GLOB BRAID_CPU_KERNELS CONFIGURE_DEPENDS kernels/*_cpu.cpp)
set(BRAID_KERNEL_OBJECTS "")
# An optimizer rounds as Keras's does, operation by operation: huge steps back and forth leave what the roundings leave.
set_source_files_properties(kernels/optimizer_cpu.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=off)

# Products and sums fuse at any level of optimization: GCC does it as one of its expensive ones, which -O1 leaves out.
set(BRAID_CONTRACTION -ffp-contract=fast)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND BRAID_CONTRACTION -fexpensive-optimizations)
endif()

function(braid_add_kernels variant)
  if(NOT BRAID_CPU_KERNELS)
    return()
  endif()
  set(target braid_kernels_${variant})
  add_library(${target} OBJECT ${BRAID_CPU_KERNELS})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${BRAID_FORWARDING_DIR})
  target_compile_definitions(${target} PRIVATE BRAID_CPU=${variant})
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wno-missing-field-initializers -Wno-psabi
                         -fno-math-errno -fno-trapping-math ${BRAID_CONTRACTION} ${ARGN})
  set(BRAID_KERNEL_OBJECTS ${BRAID_KERNEL_OBJECTS} $<TARGET_OBJECTS:${target}> PARENT_SCOPE)
endfunction()

# Vectors of 16 lanes have ways of their own through products and cells. With this option a processor that has AVX2 runs
# them too, each vector as two, so that they are tested where AVX-512 is not at hand: slower, the same bits.
option(BRAID_AVX512_BY_AVX2 "Compile the kernels for AVX-512 to AVX2 instructions" OFF)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  if(BRAID_AVX512_BY_AVX2)
    braid_add_kernels(avx512 -march=x86-64-v3 -DBRAID_LANES=16)
    set_source_files_properties(kernels/launch.cpp PROPERTIES COMPILE_DEFINITIONS BRAID_AVX512_BY_AVX2)
  else()
    braid_add_kernels(avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  endif()
  braid_add_kernels(avx2 -march=x86-64-v3)
else()
  braid_add_kernels(avx512)
  braid_add_kernels(avx2)
endif()
braid_add_kernels(portable)
