# The kernels: target cec_kernels (static library). Their tests and bench: tests/kernels/CMakeLists.txt.
#
# Each ISA has files of its own with flags of its own; no other file may be compiled with them, as the library must load on any
# x86-64. -ffp-contract=off everywhere: a contracted multiply-add would change integer results (rounding of acc * m + ...) and make
# f32 results depend on the compiler's mood; kernels that want FMA say so with intrinsics.

set(CEC_KERNELS_DIR "${CMAKE_CURRENT_LIST_DIR}/..")
set(CEC_KERNELS_SRC "${CEC_KERNELS_DIR}/src/kernels")

set(CEC_KERNEL_COMMON
  ${CEC_KERNELS_DIR}/src/cpu/cpu_features.cc
  ${CEC_KERNELS_SRC}/kernels.cc
  ${CEC_KERNELS_SRC}/gemm_f32/pack.cc
  ${CEC_KERNELS_SRC}/gemm_u8s8_s32/pack.cc)
foreach(family gemm_f32 gemm_bf16 winograd_f32 gemm_u8s8_s32 winograd_u8s8_s32 dwconv_f32 dwconv_u8s8_s32 pool elementwise_f32 rows_f32 quantize_8bit layout stats_f32 conv_wgrad_f32 batch_norm_f32 training_f32 half_f32)
  list(APPEND CEC_KERNEL_COMMON ${CEC_KERNELS_SRC}/${family}/scalar.cc)
  list(APPEND CEC_KERNEL_AVX2 ${CEC_KERNELS_SRC}/${family}/avx2.cc)
endforeach()
set(CEC_KERNEL_AVX512
  ${CEC_KERNELS_SRC}/elementwise_f32/avx512.cc
  ${CEC_KERNELS_SRC}/rows_f32/avx512.cc
  ${CEC_KERNELS_SRC}/gemm_f32/avx512.cc
  ${CEC_KERNELS_SRC}/gemm_bf16/avx512.cc
  ${CEC_KERNELS_SRC}/winograd_f32/avx512.cc
  ${CEC_KERNELS_SRC}/gemm_u8s8_s32/avx512.cc
  ${CEC_KERNELS_SRC}/dwconv_f32/avx512.cc
  ${CEC_KERNELS_SRC}/dwconv_u8s8_s32/avx512.cc
  ${CEC_KERNELS_SRC}/quantize_8bit/avx512.cc
  ${CEC_KERNELS_SRC}/conv_wgrad_f32/avx512.cc
  ${CEC_KERNELS_SRC}/batch_norm_f32/avx512.cc
  ${CEC_KERNELS_SRC}/training_f32/avx512.cc)
set(CEC_KERNEL_AVX512VNNI
  ${CEC_KERNELS_SRC}/gemm_u8s8_s32/avx512vnni.cc)

set(CEC_KERNEL_AVX512BF16
  ${CEC_KERNELS_SRC}/gemm_bf16/avx512bf16.cc)
set(CEC_KERNEL_AVXVNNI
  ${CEC_KERNELS_SRC}/gemm_u8s8_s32/avxvnni.cc)
set(CEC_KERNEL_NEON
  ${CEC_KERNELS_SRC}/elementwise_f32/neon.cc
  ${CEC_KERNELS_SRC}/rows_f32/neon.cc
  ${CEC_KERNELS_SRC}/conv_wgrad_f32/neon.cc
  ${CEC_KERNELS_SRC}/batch_norm_f32/neon.cc
  ${CEC_KERNELS_SRC}/training_f32/neon.cc)

set(CEC_KERNEL_NEONDOT
  ${CEC_KERNELS_SRC}/gemm_u8s8_s32/neondot.cc)

set(CEC_AVX2_FLAGS -mavx2 -mfma -mf16c)
set(CEC_AVX512_FLAGS ${CEC_AVX2_FLAGS} -mavx512f -mavx512bw -mavx512dq -mavx512vl)
set(CEC_AVX512VNNI_FLAGS ${CEC_AVX512_FLAGS} -mavx512vnni)
set(CEC_AVX512BF16_FLAGS ${CEC_AVX512_FLAGS} -mavx512bf16)

# Kernels are compiled with optimization even in debug and sanitizer builds: without it register tiles spill and inline helpers
# would be emitted as functions. -O3 after the build type's own level wins.
set(CEC_KERNEL_FLAGS -O3 -ffp-contract=off)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(CEC_KERNELS_HAVE_X86 ON)
else()
  set(CEC_KERNELS_HAVE_X86 OFF)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(CEC_KERNELS_HAVE_ARM64 ON)
else()
  set(CEC_KERNELS_HAVE_ARM64 OFF)
endif()

# cec_kernel_library(target emulate_avx512): the kernels as a static library. With emulate_avx512 it holds only the AVX-512 files, compiled for
# AVX2 with SIMDe standing in for the missing instructions, for tests only (-O1, as inlining it all at -O3 takes minutes): link it before
# cec_kernels, whose own AVX-512 objects then stay out. Per-file flags hold in the calling directory, so call it once in a directory.
function(cec_kernel_library target emulate_avx512)
  if(emulate_avx512)
    set(sources ${CEC_KERNEL_AVX512} ${CEC_KERNEL_AVX512VNNI} ${CEC_KERNEL_AVX512BF16})
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${CEC_AVX2_FLAGS};-Wno-psabi;-O1" COMPILE_DEFINITIONS CEC_EMULATE_AVX512)
  else()
    set(sources ${CEC_KERNEL_COMMON})
    if(CEC_KERNELS_HAVE_ARM64)
      list(APPEND sources ${CEC_KERNEL_NEON} ${CEC_KERNEL_NEONDOT})  # Advanced SIMD needs no flag
      set_source_files_properties(${CEC_KERNEL_NEONDOT} PROPERTIES COMPILE_OPTIONS -march=armv8.2-a+dotprod)
    endif()
    if(CEC_KERNELS_HAVE_X86)
      list(APPEND sources ${CEC_KERNEL_AVX2} ${CEC_KERNEL_AVXVNNI} ${CEC_KERNEL_AVX512} ${CEC_KERNEL_AVX512VNNI} ${CEC_KERNEL_AVX512BF16})
      set_source_files_properties(${CEC_KERNEL_AVX2} PROPERTIES COMPILE_OPTIONS "${CEC_AVX2_FLAGS}")
      set_source_files_properties(${CEC_KERNEL_AVXVNNI} PROPERTIES COMPILE_OPTIONS "${CEC_AVX2_FLAGS};-mavxvnni")
      # GCC 12 and older see uninitialized values inside their own AVX-512 headers.
      set(quiet "")
      if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
        set(quiet -Wno-uninitialized -Wno-maybe-uninitialized)
      endif()
      set_source_files_properties(${CEC_KERNEL_AVX512} PROPERTIES COMPILE_OPTIONS "${CEC_AVX512_FLAGS};${quiet}")
      set_source_files_properties(${CEC_KERNEL_AVX512VNNI} PROPERTIES COMPILE_OPTIONS "${CEC_AVX512VNNI_FLAGS};${quiet}")
      set_source_files_properties(${CEC_KERNEL_AVX512BF16} PROPERTIES COMPILE_OPTIONS "${CEC_AVX512BF16_FLAGS};${quiet}")
    endif()
  endif()
  add_library(${target} STATIC ${sources})
  set_target_properties(${target} PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
    POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${CEC_KERNELS_DIR}/include> $<BUILD_INTERFACE:${CEC_KERNELS_DIR}/src>)
  target_compile_options(${target} PRIVATE ${CEC_KERNEL_FLAGS} -Wall -Wextra)
endfunction()

cec_kernel_library(cec_kernels OFF)

# Kernel tests and bench, where the caller wants tests and has found GoogleTest (targets GTest::gtest and GTest::gtest_main):
#   add_subdirectory(tests/kernels)
