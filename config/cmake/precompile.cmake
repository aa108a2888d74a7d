# KVASIR_PCH: the headers that most files read, compiled once a target: a fifth of the time of a build from nothing.
# The release preset has it, unless a compiler cache is in use, which serves better alone. The other presets do without
# and find the file that forgets an include.
option(KVASIR_PCH "Precompile the standard library's headers" OFF)

set(KVASIR_PCH_HEADERS
    <algorithm> <array> <chrono> <cmath> <cstdint> <filesystem> <functional> <map> <memory> <optional> <span> <string>
    <string_view> <utility> <vector> <boost/system/result.hpp> <fmt/format.h>)

# kvasir_precompile(DIRECTORY folder [HEADERS header...]): every target of a folder that has enough files to gain by it.
function(kvasir_precompile)
    cmake_parse_arguments(ARG "" "DIRECTORY" "HEADERS" ${ARGN})
    if(NOT KVASIR_PCH OR CMAKE_CXX_COMPILER_LAUNCHER)
        return()
    endif()
    get_property(targets DIRECTORY ${ARG_DIRECTORY} PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target ${targets})
        get_target_property(sources ${target} SOURCES)
        get_target_property(type ${target} TYPE)
        list(LENGTH sources n)
        if(n GREATER 12 AND type MATCHES "LIBRARY|EXECUTABLE")
            target_precompile_headers(${target} PRIVATE ${KVASIR_PCH_HEADERS} ${ARG_HEADERS})
        endif()
    endforeach()
endfunction()
