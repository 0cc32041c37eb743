# The GPU kernels (kernels/*_cuda.cu) are compiled twice: by nvcc into the library, where a CUDA toolkit is found, and by the
# host compiler for the emulated device of the tests (kernels/simt/). Every kernel that a header declares stands in a table
# of each of the two, so that one without an implementation does not link.
set(BRAID_CUDA AUTO CACHE STRING "GPU kernels in the library: AUTO (where nvcc is found), ON or OFF")
set_property(CACHE BRAID_CUDA PROPERTY STRINGS AUTO ON OFF)
# Newer GPUs than the last compile its PTX.
set(BRAID_CUDA_ARCHITECTURES "75-real;80-real;86-real;89-real;90a-real;100-real;120-real;120-virtual"
    CACHE STRING "Architectures that the GPU kernels are compiled for; \"machine\" stands for those of the GPUs at hand")

option(BRAID_SPILLS_ARE_ERRORS "Compilation fails where nvcc spills registers of a kernel of the LSTM or Dense" OFF)

file(GLOB BRAID_GPU_KERNELS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*_cuda.cu)
file(GLOB BRAID_SIMT_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/simt/*.cpp)
list(FILTER BRAID_SIMT_SOURCES EXCLUDE REGEX "/cuda_[a-z]+\\.cpp$")
set(BRAID_GPU_OBJECTS "")

# An optimizer rounds as Keras's does, operation by operation.
function(braid_set_rounding flag)
  set_source_files_properties(${PROJECT_SOURCE_DIR}/kernels/optimizer_cuda.cu PROPERTIES COMPILE_OPTIONS ${flag})
endfunction()

# The kernels that headers declare, and those that GPUs still lack.
set(missing_list ${PROJECT_SOURCE_DIR}/kernels/missing_on_gpu.txt)
file(GLOB headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*.hpp)
list(TRANSFORM headers PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE files)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files} ${missing_list})
file(STRINGS ${missing_list} BRAID_MISSING_ON_GPU REGEX "^[A-Za-z]+$")
set(includes "")
set(declared "")
foreach(header IN LISTS headers)
  file(STRINGS ${PROJECT_SOURCE_DIR}/${header} lines REGEX "^BRAID_KERNEL\\([A-Za-z]+\\)")
  if(lines)
    string(APPEND includes "#include \"${header}\"\n")
    list(TRANSFORM lines REPLACE "^BRAID_KERNEL\\(([A-Za-z]+)\\).*" "\\1")
    list(APPEND declared ${lines})
  endif()
endforeach()
foreach(kernel IN LISTS BRAID_MISSING_ON_GPU)
  if(NOT kernel IN_LIST declared)
    message(FATAL_ERROR "${missing_list} names ${kernel}, which no header declares")
  endif()
endforeach()

# braid_gpu_table(<backend> <file>): a source that fills the table of launch.hpp for one backend.
function(braid_gpu_table backend file)
  set(BACKEND ${backend})
  # On the emulated device a CPU kernel stands in for one that is missing, so that whole programs run there.
  set(STAND_IN "nullptr")
  set(STAND_IN_CODE "")
  if(backend STREQUAL "emulated")
    set(STAND_IN "stand_in<Arguments>")
    set(STAND_IN_CODE "template <class Arguments>
void stand_in(const Stream& stream, const Arguments& arguments) {
  simt::in_stream(stream.native, [=] { launch(Stream{}, arguments); });
}
")
  endif()
  set(INCLUDES "${includes}#include \"kernels/gpu_table.hpp\"\n")
  if(backend STREQUAL "emulated")
    string(APPEND INCLUDES "#include \"kernels/simt/emulated_stream.hpp\"\n")
  endif()
  set(WEAK "")
  set(ENTRIES "")
  foreach(kernel IN LISTS declared)
    if(kernel IN_LIST BRAID_MISSING_ON_GPU)
      string(APPEND WEAK "[[gnu::weak]] void run(const Stream&, const ${kernel}&);\n")
      string(APPEND ENTRIES "  table.push_back({\"${kernel}\", true, try_enter<${kernel}>()});\n")
    else()
      string(APPEND ENTRIES "  table.push_back({\"${kernel}\", false, enter<${kernel}>()});\n")
    endif()
  endforeach()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/gpu_table.cpp.in ${file} @ONLY)
endfunction()

set(BRAID_WITH_CUDA OFF)
set(without_kernels "BRAID_CUDA is OFF")
if(NOT BRAID_CUDA STREQUAL "OFF")
  include(cmake/find_nvcc.cmake)
  braid_find_nvcc(without_kernels)
  if(NOT without_kernels)
    set(CMAKE_CUDA_ARCHITECTURES ${BRAID_CUDA_ARCHITECTURES})
    if("machine" IN_LIST CMAKE_CUDA_ARCHITECTURES)
      list(REMOVE_ITEM CMAKE_CUDA_ARCHITECTURES machine)
      execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
                      OUTPUT_VARIABLE capabilities ERROR_QUIET)
      string(REGEX MATCHALL "[0-9]+\\.[0-9]" capabilities "${capabilities}")
      foreach(capability IN LISTS capabilities)
        string(REPLACE "." "" architecture ${capability})
        # Kernels for an H100 use what its architecture alone has.
        string(REGEX REPLACE "^90$" "90a" architecture ${architecture})
        list(APPEND CMAKE_CUDA_ARCHITECTURES ${architecture}-real)
      endforeach()
      list(REMOVE_DUPLICATES CMAKE_CUDA_ARCHITECTURES)
    endif()
    if(CMAKE_CXX_COMPILER_LAUNCHER AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
      set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
    endif()
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    # CMake 3.25 does not know that nvcc speaks C++20.
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA_STANDARD 20)
    set(BRAID_WITH_CUDA ON)
  elseif(BRAID_CUDA STREQUAL "ON")
    message(FATAL_ERROR "BRAID_CUDA is ON: ${without_kernels}; CUDACXX can name another nvcc")
  endif()
endif()
# cuBLASLt is looked for when a program runs; its header alone is wanted here, with or without nvcc.
find_path(BRAID_CUBLASLT_INCLUDE cublasLt.h HINTS ${CUDAToolkit_INCLUDE_DIRS} /usr/local/cuda/include)
if(NOT BRAID_CUBLASLT_INCLUDE)
  message(STATUS "GPU kernels make large products, too: there is no cublasLt.h")
else()
  set_source_files_properties(kernels/product_library.cpp PROPERTIES COMPILE_DEFINITIONS BRAID_HAS_CUBLASLT
                              COMPILE_OPTIONS "-isystem;${BRAID_CUBLASLT_INCLUDE}")
endif()

if(BRAID_WITH_CUDA)
  list(JOIN CMAKE_CUDA_ARCHITECTURES "," architectures)
  message(STATUS "GPU kernels in the library: ${BRAID_WITH_CUDA}, for ${architectures}")
  set_source_files_properties(kernels/simt/cuda_devices.cpp PROPERTIES
                              COMPILE_DEFINITIONS BRAID_CUDA_ARCHITECTURES="${architectures}")
else()
  message(STATUS "GPU kernels in the library: ${BRAID_WITH_CUDA}: ${without_kernels}")
endif()

# What nvcc gets for every kernel source. It warns (554) of the conversion of Matrix<const T> to its own type.
set(BRAID_NVCC_OPTIONS --expt-relaxed-constexpr --diag-suppress=554 -Xcompiler=-Wall,-Wextra,-Wno-missing-field-initializers)

if(BRAID_WITH_CUDA)
  braid_gpu_table(cuda ${PROJECT_BINARY_DIR}/kernels/cuda_table.cpp)
  braid_set_rounding(-fmad=false)
  if(BRAID_SPILLS_ARE_ERRORS)
    file(GLOB without_spills CONFIGURE_DEPENDS kernels/lstm_*_cuda.cu kernels/dense*_cuda.cu)
    set_source_files_properties(${without_spills} PROPERTIES COMPILE_OPTIONS "-Xptxas=--warn-on-spills,--warning-as-error")
  endif()
  add_library(braid_gpu_kernels OBJECT ${BRAID_GPU_KERNELS} kernels/simt/cuda_launch.cpp kernels/simt/cuda_device.cpp kernels/simt/cuda_devices.cpp
              kernels/simt/cuda_errors.cpp kernels/simt/cuda_library.cpp
              ${PROJECT_BINARY_DIR}/kernels/cuda_table.cpp)
  target_include_directories(braid_gpu_kernels PRIVATE ${PROJECT_SOURCE_DIR} ${BRAID_FORWARDING_DIR})
  target_compile_options(braid_gpu_kernels PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:${BRAID_NVCC_OPTIONS}>
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-missing-field-initializers>)
  target_link_libraries(braid_gpu_kernels PRIVATE CUDA::cudart_static)
  set(BRAID_GPU_OBJECTS $<TARGET_OBJECTS:braid_gpu_kernels>)
endif()
