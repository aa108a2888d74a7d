# cmake --install build/release --prefix /usr: what a service needs. The units name /usr/bin and /etc/kvasir, hence that prefix.
include(GNUInstallDirs)
foreach(program kvasird kvasir kvasir-eval)
    if(TARGET ${program})
        install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
endforeach()
# Where each shell looks for the completions of programs from packages.
if(TARGET kvasir AND NOT CMAKE_CROSSCOMPILING)
    set(completions ${PROJECT_BINARY_DIR}/completions)
    install(FILES ${completions}/kvasir.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME kvasir)
    install(FILES ${completions}/kvasir.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _kvasir)
    install(FILES ${completions}/kvasir.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()
set(systemd_dir ${PROJECT_SOURCE_DIR}/config/systemd)
install(FILES ${systemd_dir}/kvasird.service ${systemd_dir}/kvasird.socket DESTINATION lib/systemd/system)
install(FILES ${systemd_dir}/kvasir.sysusers.conf DESTINATION lib/sysusers.d RENAME kvasir.conf)
install(FILES ${systemd_dir}/kvasir.tmpfiles.conf DESTINATION lib/tmpfiles.d RENAME kvasir.conf)
# An administrator's file is not overwritten.
install(CODE "
    set(file \"\$ENV{DESTDIR}/etc/kvasir/kvasird.toml\")
    if(NOT EXISTS \"\${file}\")
        file(INSTALL \"${PROJECT_SOURCE_DIR}/config/kvasird.toml\" DESTINATION /etc/kvasir)  # DESTDIR goes before it by itself
    endif()")
