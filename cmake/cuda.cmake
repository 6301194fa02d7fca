# The CUDA backend: whether it is built, for which devices, and how.
#
# Says in one line which it is; scripts/check_spills.mjs reads that line.

set(TURNWISE_OLDEST_NVCC 13.0)
# Every generation from Ampere on as machine code, and PTX for what comes: compute_90 has clusters, which the row kernels
# are fastest with; compute_80 is for the rest.
set(TURNWISE_CUDA_ARCHITECTURES
  80-real 86-real 89-real 90-real 100-real 120-real 80-virtual 90-virtual)

include(cmake/older_glibc.cmake)

set(CUDA_SOURCES "")
set(CUDA_MISSING "")
if(WITH_CUDA)
  include(CheckLanguage)
  check_language(CUDA)  # compiles something: an nvcc that rejects the host's compiler counts as none
  if(CMAKE_CUDA_COMPILER)
    # Before the language is enabled, which would choose for itself.
    if(NOT CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES ${TURNWISE_CUDA_ARCHITECTURES})
    endif()
    set(CMAKE_CUDA_RUNTIME_LIBRARY Static)  # the binary also loads where there is no CUDA
    set(CMAKE_CUDA_STANDARD 17)
    set(CMAKE_CUDA_STANDARD_REQUIRED ON)
    enable_language(CUDA)
    if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS TURNWISE_OLDEST_NVCC)
      set(CUDA_MISSING "nvcc is ${CMAKE_CUDA_COMPILER_VERSION}, older than ${TURNWISE_OLDEST_NVCC}")
    else()
      file(GLOB_RECURSE CUDA_SOURCES CONFIGURE_DEPENDS cuda/*.cu)
    endif()
  else()
    set(CUDA_MISSING "no nvcc that works on PATH or in CUDACXX")
  endif()
else()
  set(CUDA_MISSING "WITH_CUDA is ${WITH_CUDA}")
endif()

if(CUDA_SOURCES)
  message(STATUS "CUDA backend: built by nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")
elseif(WITH_CUDA STREQUAL "AUTO" OR NOT WITH_CUDA)
  message(STATUS "CUDA backend: left out, the add-on runs on the CPU alone (${CUDA_MISSING})")
else()
  message(FATAL_ERROR "WITH_CUDA is ${WITH_CUDA}: ${CUDA_MISSING}.")
endif()

# The one list of nvcc's flags.
#   -fmad=false: a * b + c is two roundings, as on the CPU, so that formulas of native/math give the same bits. Row
#     kernels that want a fused one write fmaf().
#   -Xptxas=-v: registers and spills of every kernel, for scripts/check_spills.mjs.
set(TURNWISE_NVCC_FLAGS
  -O3 -fmad=false
  -Xptxas=-v
  -Xfatbin=-compress-all --compress-mode=size)

# Adds what the CUDA_SOURCES of a target need; `host_flags` are those of its C++.
function(turnwise_add_cuda target host_flags)
  target_compile_definitions(${target} PRIVATE TURNWISE_CUDA)
  if(host_flags)
    list(JOIN host_flags "," host_flags)
    list(APPEND TURNWISE_NVCC_FLAGS -Xcompiler=${host_flags})
  endif()
  target_include_directories(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:${CMAKE_CURRENT_SOURCE_DIR};${CMAKE_CURRENT_SOURCE_DIR}/native;${CMAKE_CURRENT_SOURCE_DIR}/cuda>)
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${TURNWISE_NVCC_FLAGS}>")
  turnwise_link_older_glibc(${target})
endfunction()
