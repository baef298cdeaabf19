# cmake --install BUILD --prefix PREFIX: headers, the static libraries and a package for find_package(cec CONFIG). It may be moved afterwards.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cec)
install(TARGETS cec cec_kernels EXPORT cecTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/cec DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT cecTargets NAMESPACE cec:: DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/cecConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/cecConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/cecConfigVersion.cmake DESTINATION ${package_dir})
