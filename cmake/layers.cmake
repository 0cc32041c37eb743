# Layers are found by name in a registry that each of them enters when the program starts. From a static library a linker
# takes only the objects that something refers to, and nothing refers to a layer that is only named in a file. So the
# registry and all the layers are one object: who asks the registry has them all.
file(GLOB BRAID_LAYER_SOURCES CONFIGURE_DEPENDS layers/*.cpp)
list(APPEND BRAID_LAYER_SOURCES ${PROJECT_SOURCE_DIR}/engine/graph/layer_base.cpp)
set(BRAID_LAYERS_OBJECT ${PROJECT_BINARY_DIR}/braid_layers${CMAKE_CXX_OUTPUT_EXTENSION})

add_library(braid_layers OBJECT ${BRAID_LAYER_SOURCES})
target_compile_options(braid_layers PRIVATE -Wall -Wextra -Wno-missing-field-initializers)
target_include_directories(braid_layers PRIVATE ${PROJECT_SOURCE_DIR} ${BRAID_FORWARDING_DIR})
target_link_libraries(braid_layers PRIVATE nlohmann_json::nlohmann_json TBB::tbb)
add_custom_command(
  OUTPUT ${BRAID_LAYERS_OBJECT}
  COMMAND ${CMAKE_CXX_COMPILER} -r -nostdlib -o ${BRAID_LAYERS_OBJECT} $<TARGET_OBJECTS:braid_layers>
  DEPENDS $<TARGET_OBJECTS:braid_layers>
  COMMENT "Joining the layers with their registry"
  COMMAND_EXPAND_LISTS VERBATIM)
set_source_files_properties(${BRAID_LAYERS_OBJECT} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
