# What `cmake --install` lays down. Nothing in it names the folder it was built in or installed to: it may be moved.
include(CMakePackageConfigHelpers)
set(braid_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/braid)

install(TARGETS braid EXPORT braid-targets)
install(EXPORT braid-targets NAMESPACE braid:: DESTINATION ${braid_package_folder})
configure_package_config_file(cmake/braid-config.cmake.in ${PROJECT_BINARY_DIR}/braid-config.cmake
                              INSTALL_DESTINATION ${braid_package_folder} NO_SET_AND_CHECK_MACRO)
# Until 1.0 every minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/braid-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/braid-config.cmake ${PROJECT_BINARY_DIR}/braid-config-version.cmake
        ${PROJECT_SOURCE_DIR}/cmake/FindLibZip.cmake DESTINATION ${braid_package_folder})

# The pkg-config file finds the other folders from its own place.
file(RELATIVE_PATH braid_prefix_from_pkgconfig /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" braid_prefix_from_pkgconfig ${braid_prefix_from_pkgconfig})
if(BUILD_SHARED_LIBS)
  set(braid_private Requires.private)
else()
  set(braid_private Requires)  # a static library leaves these to whoever links it
endif()
configure_file(cmake/braid.pc.in ${PROJECT_BINARY_DIR}/braid.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/braid.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/braid)
