# Binds the functions that libcudart_static.a calls to the versions that glibc 2.28 has.
#
# glibc 2.34 moved pthread, dl and rt into libc and gave their functions a new version there. A link on a newer system
# takes that version, and an older one then refuses the whole add-on. Where an older version of a function does, this
# builds libraries with the old names and the old versions, empty inside, which the linker meets before libc. They are
# never shipped or loaded: at run time the system's own libraries provide those versions, old and new systems alike.
# older_glibc.txt has a line per function. scripts/check_glibc.mjs tells when another is needed.
function(turnwise_link_older_glibc target)
  if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
    return()
  endif()
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" OR NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
    # Elsewhere the first version has another name (aarch64: GLIBC_2.17), and nobody has tried.
    message(STATUS "CUDA backend: on ${CMAKE_SYSTEM_PROCESSOR} the binary needs a glibc as new as this machine's")
    return()
  endif()
  set(list ${CMAKE_CURRENT_SOURCE_DIR}/cmake/older_glibc.txt)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${list})
  file(STRINGS ${list} lines REGEX "^[^#]")
  set(libraries "")
  foreach(line IN LISTS lines)
    separate_arguments(line UNIX_COMMAND "${line}")
    list(GET line 0 library)
    list(GET line 1 version)
    list(GET line 2 function)
    list(APPEND libraries ${library})
    list(APPEND ${library}_versions ${version})
    string(APPEND ${library}_${version} " ${function};")
    string(APPEND ${library}_code "void ${function}() {}\n")
  endforeach()
  list(REMOVE_DUPLICATES libraries)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/older_glibc)
  foreach(library IN LISTS libraries)
    list(REMOVE_DUPLICATES ${library}_versions)
    set(versions "")
    foreach(version IN LISTS ${library}_versions)
      string(APPEND versions "${version} { global:${${library}_${version}} };\n")
    endforeach()
    file(CONFIGURE OUTPUT ${folder}/${library}.map CONTENT "${versions}" @ONLY)
    file(CONFIGURE OUTPUT ${folder}/${library}.cpp CONTENT "extern \"C\" {\n${${library}_code}}\n" @ONLY)
    set(stub older_glibc_${library})
    add_library(${stub} SHARED ${folder}/${library}.cpp)
    set_target_properties(${stub} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${folder} NO_SONAME ON)
    target_compile_options(${stub} PRIVATE -fno-builtin)
    target_link_options(${stub} PRIVATE
      -nostdlib -Wl,-soname,${library} -Wl,--version-script=${folder}/${library}.map)
    add_dependencies(${target} ${stub})
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS $<TARGET_FILE:${stub}>)
    # Before any other library, and kept although nothing has asked for it yet.
    target_link_options(${target} PRIVATE "SHELL:-Wl,--no-as-needed $<TARGET_FILE:${stub}> -Wl,--as-needed")
  endforeach()
endfunction()
