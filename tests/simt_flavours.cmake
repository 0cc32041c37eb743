# The emulated device in further flavours: programs with the tests of the device, and of the kernels and ops that run on it. None is part
# of a plain build. Kernels are compiled with options of their own.
file(GLOB BRAID_SIMT_TESTS CONFIGURE_DEPENDS simt_*_test.cpp kernels_*_test.cpp gpu_kernels_test.cpp ops_*_test.cpp)
file(GLOB BRAID_SIMT_SUPPORT CONFIGURE_DEPENDS support/*.cpp)
set_source_files_properties(${BRAID_GPU_KERNELS} PROPERTIES LANGUAGE CXX)
braid_set_rounding(-ffp-contract=off)

# braid_simt_flavour(<name> <options> <options of kernels> <options of the linker>)
function(braid_simt_flavour name options kernel_options link_options)
  add_library(braid_${name}_kernels OBJECT EXCLUDE_FROM_ALL ${BRAID_GPU_KERNELS} ${BRAID_TEST_KERNELS})
  add_executable(braid_${name}_tests EXCLUDE_FROM_ALL main.cpp ${BRAID_SIMT_TESTS} ${BRAID_SIMT_SUPPORT} ${BRAID_SIMT_SOURCES}
                 ${PROJECT_SOURCE_DIR}/bench/reference_models.cpp
                 ${PROJECT_BINARY_DIR}/kernels/emulated_table.cpp $<TARGET_OBJECTS:braid_${name}_kernels>)
  foreach(target IN ITEMS braid_${name}_kernels braid_${name}_tests)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR} ${BRAID_FORWARDING_DIR})
    target_compile_definitions(${target} PRIVATE BRAID_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wno-missing-field-initializers -Wno-maybe-uninitialized -g1 ${options})
  endforeach()
  # What instrumentation lets GCC suspect of array bounds is no reason to stop: the plain build has looked.
  target_compile_options(braid_${name}_kernels PRIVATE -fno-math-errno -Wno-array-bounds ${kernel_options})
  target_link_options(braid_${name}_tests PRIVATE ${link_options})
  target_link_libraries(braid_${name}_tests PRIVATE braid::braid Catch2::Catch2 Threads::Threads ${CMAKE_DL_LIBS})
  if(TARGET braid_cublaslt_stand_in)
    add_dependencies(braid_${name}_tests braid_cublaslt_stand_in)
  endif()
endfunction()

set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all)
braid_simt_flavour(address "${sanitizers};-O1" "" "${sanitizers}")
# Kernels report their accesses to functions of our own (kernels/simt/races.cpp): the sanitizer's library is not linked.
# Their clocks are compared most of the time.
set_source_files_properties(${PROJECT_SOURCE_DIR}/kernels/simt/race_clocks.cpp PROPERTIES COMPILE_OPTIONS -O3)
braid_simt_flavour(race "-DBRAID_SIMT_RACES;-O2" "-fsanitize=thread" "")
# Kernels that tests/mutate.py breaks on purpose.
# An index that a change takes over the end of a local array ends the program, as the sanitizers would.
braid_simt_flavour(mutation "-O1" "-fsanitize=bounds-strict;-fsanitize-undefined-trap-on-error" "")
# Which lines of kernels the tests execute (tests/kernel_coverage.py).
braid_simt_flavour(coverage "-O1" "--coverage" "--coverage")
