# cmake -DUNITS=<config/systemd> -DWORK=<scratch folder> -P: systemd's own check of the units, where systemd-analyze is there.
cmake_minimum_required(VERSION 3.25)

find_program(SYSTEMD_ANALYZE systemd-analyze)
if(NOT SYSTEMD_ANALYZE)
    message(STATUS "skipped: no systemd-analyze here")
    return()
endif()
file(REMOVE_RECURSE ${WORK})
file(COPY ${UNITS}/kvasird.socket DESTINATION ${WORK})
# verify wants an executable to be there; kvasird need not be installed.
file(READ ${UNITS}/kvasird.service service)
string(REPLACE "ExecStart=/usr/bin/kvasird" "ExecStart=/bin/true" service "${service}")
file(WRITE ${WORK}/kvasird.service "${service}")

# Warnings (an unknown key, say) go to stderr with status 0, so silence is what passes.
execute_process(COMMAND ${SYSTEMD_ANALYZE} verify --man=no --recursive-errors=no ${WORK}/kvasird.service ${WORK}/kvasird.socket
                RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE out)
string(REGEX MATCHALL "kvasird\\.(service|socket)[^\n]*" complaints "${out}")
if(NOT status EQUAL 0 OR complaints)
    message(FATAL_ERROR "systemd-analyze verify: status ${status}\n${out}")
endif()
