# What every target of this project is compiled with, beyond CMake's defaults. Users of the library inherit only C++20.
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(BRAID_CCACHE ccache)
  if(BRAID_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    # The two kinds of sloppiness are what ccache asks for before it caches what uses a precompiled header.
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${BRAID_CCACHE})
  endif()
endif()

function(braid_compile_options target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic $<$<BOOL:${BRAID_WARNINGS_AS_ERRORS}>:-Werror>)
endfunction()
