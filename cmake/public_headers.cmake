# Public headers are included as <braid/...>. The build tree offers them through forwarding headers, the installed package
# holds the files themselves under the same names.
set(BRAID_PUBLIC_HEADERS
  engine/braid.hpp
  engine/core/device.hpp
  engine/core/dtype.hpp
  engine/core/error.hpp
  engine/core/random.hpp
  engine/core/shape.hpp
  engine/core/tensor.hpp
  engine/graph/initializer.hpp
  engine/graph/regularizer.hpp)
set(BRAID_FORWARDING_DIR ${PROJECT_BINARY_DIR}/include)

# braid_public_name(<file> <variable>): "engine/core/tensor.hpp" is braid/tensor.hpp, "layers/dense.hpp" braid/layers/dense.hpp.
function(braid_public_name file variable)
  get_filename_component(name ${file} NAME)
  if(file MATCHES "^layers/" AND NOT name STREQUAL "layers.hpp")
    set(${variable} braid/layers/${name} PARENT_SCOPE)
  else()
    set(${variable} braid/${name} PARENT_SCOPE)
  endif()
endfunction()

foreach(header IN LISTS BRAID_PUBLIC_HEADERS)
  braid_public_name(${header} name)
  file(CONFIGURE OUTPUT ${BRAID_FORWARDING_DIR}/${name}
       CONTENT "#include \"${PROJECT_SOURCE_DIR}/${header}\"\n" @ONLY)
endforeach()
