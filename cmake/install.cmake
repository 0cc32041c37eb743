include(CMakePackageConfigHelpers)

install(TARGETS braid EXPORT braidTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(header IN LISTS BRAID_PUBLIC_HEADERS)
  braid_public_name(${header} name)
  get_filename_component(folder ${name} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder})
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/braid)

set(BRAID_IS_SHARED ${BUILD_SHARED_LIBS})
if(NOT BRAID_IS_SHARED)
  set(BRAID_IS_SHARED OFF)
endif()
set(BRAID_CUDA_MAJOR "${CUDAToolkit_VERSION_MAJOR}")
install(EXPORT braidTargets NAMESPACE braid:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/braid)
configure_package_config_file(cmake/braidConfig.cmake.in ${PROJECT_BINARY_DIR}/braidConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/braid)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/braidConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/braidConfig.cmake ${PROJECT_BINARY_DIR}/braidConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/braid)

# The pkg-config file finds the other folders from its own place.
file(RELATIVE_PATH BRAID_PREFIX_FROM_PKGCONFIG /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" BRAID_PREFIX_FROM_PKGCONFIG "${BRAID_PREFIX_FROM_PKGCONFIG}")
set(BRAID_REQUIRES Requires)
if(BRAID_IS_SHARED)
  set(BRAID_REQUIRES Requires.private)
endif()
set(BRAID_CUDA_LIBS "")
if(BRAID_WITH_CUDA AND NOT BRAID_IS_SHARED)
  set(BRAID_CUDA_LIBS " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
endif()
configure_file(cmake/braid.pc.in ${PROJECT_BINARY_DIR}/braid.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/braid.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
