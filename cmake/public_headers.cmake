# Public headers are included as <braid/...>. The build tree offers them through forwarding headers, the installed package
# holds the files themselves under the same names.
#
# A header is public when a header of engine/ or layers/ includes it as <braid/...>, and braid.hpp is: there is no list to
# keep. <braid/x.hpp> is engine/x.hpp or engine/*/x.hpp, <braid/layers/x.hpp> is layers/x.hpp.
set(BRAID_FORWARDING_DIR ${PROJECT_BINARY_DIR}/include)
file(GLOB BRAID_HEADERS RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/engine/*.hpp ${PROJECT_SOURCE_DIR}/engine/*/*.hpp ${PROJECT_SOURCE_DIR}/layers/*.hpp)
list(TRANSFORM BRAID_HEADERS PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE files)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})

# braid_public_name(<file> <variable>): "engine/core/tensor.hpp" is braid/tensor.hpp, "layers/dense.hpp" braid/layers/dense.hpp.
function(braid_public_name file variable)
  get_filename_component(name ${file} NAME)
  if(file MATCHES "^layers/" AND NOT name STREQUAL "layers.hpp")
    set(${variable} braid/layers/${name} PARENT_SCOPE)
  else()
    set(${variable} braid/${name} PARENT_SCOPE)
  endif()
endfunction()

# The names that headers ask for. A name without a file is left to the compiler, which points at the line.
set(BRAID_WANTED_NAMES braid/braid.hpp)
foreach(header IN LISTS BRAID_HEADERS)
  file(STRINGS ${PROJECT_SOURCE_DIR}/${header} lines REGEX "^#include <braid/[^>]+>")
  list(TRANSFORM lines REPLACE "^#include <([^>]+)>.*" "\\1")
  list(APPEND BRAID_WANTED_NAMES ${lines})
endforeach()

set(BRAID_PUBLIC_HEADERS "")
set(BRAID_PUBLIC_NAMES "")
set(listing "")
foreach(header IN LISTS BRAID_HEADERS)
  braid_public_name(${header} name)
  if(name IN_LIST BRAID_WANTED_NAMES)
    if(name IN_LIST BRAID_PUBLIC_NAMES)
      message(FATAL_ERROR "<${name}> could be ${header} or another header of that name: rename one of them")
    endif()
    list(APPEND BRAID_PUBLIC_HEADERS ${header})
    list(APPEND BRAID_PUBLIC_NAMES ${name})
    string(APPEND listing "${name} ${header}\n")
    file(CONFIGURE OUTPUT ${BRAID_FORWARDING_DIR}/${name}
         CONTENT "#include \"${PROJECT_SOURCE_DIR}/${header}\"\n" @ONLY)
  endif()
endforeach()
# The structure test reads this: name and file of every public header, one a line.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/public_headers.txt CONTENT "${listing}" @ONLY)
