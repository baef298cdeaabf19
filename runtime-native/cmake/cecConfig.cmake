# find_package(cec CONFIG): the target cec::cec.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include("${CMAKE_CURRENT_LIST_DIR}/cecTargets.cmake")
