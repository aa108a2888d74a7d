# Tests of the house itself: include directions, units.
set(house_cmake ${PROJECT_SOURCE_DIR}/config/cmake)
add_test(NAME house/include_directions
         COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -P ${house_cmake}/check_includes.cmake)
add_test(NAME house/include_directions_catch_violations
         COMMAND ${CMAKE_COMMAND} -DCHECK=${house_cmake}/check_includes.cmake
                 -DWORK=${PROJECT_BINARY_DIR}/house/includes -P ${house_cmake}/test_check_includes.cmake)
add_test(NAME house/systemd_units
         COMMAND ${CMAKE_COMMAND} -DUNITS=${PROJECT_SOURCE_DIR}/config/systemd
                 -DWORK=${PROJECT_BINARY_DIR}/house/units -P ${house_cmake}/test_units.cmake)
set_tests_properties(house/systemd_units PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
