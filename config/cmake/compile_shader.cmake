# compile_shader(target file.comp [NAME name] [DEFINES A=1 ...]): GLSL -> SPIR-V -> a header `spv/<name>.h` with
# `<name>_spv[]`. An edited include rebuilds exactly the shaders that use it (depfile).
find_program(GLSLANG_VALIDATOR glslangValidator REQUIRED)
function(compile_shader target source)
    cmake_parse_arguments(ARG "" "NAME" "DEFINES" ${ARGN})
    get_filename_component(name ${source} NAME_WE)
    if(ARG_NAME)
        set(name ${ARG_NAME})
    endif()
    list(TRANSFORM ARG_DEFINES PREPEND -D)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/spv/${name}.h)
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/spv)
    add_custom_command(
        OUTPUT ${out}
        COMMAND ${GLSLANG_VALIDATOR} -V --target-env vulkan1.1 --quiet -I${PROJECT_SOURCE_DIR} ${ARG_DEFINES}
                --vn ${name}_spv --depfile ${out}.d -o ${out} ${CMAKE_CURRENT_SOURCE_DIR}/${source}
        DEPENDS ${source}
        DEPFILE ${out}.d
        COMMENT "GLSL ${name}"
        VERBATIM)
    target_sources(${target} PRIVATE ${out})
    target_include_directories(${target} PUBLIC ${CMAKE_CURRENT_BINARY_DIR})  # tests build kernels of other shapes
endfunction()
