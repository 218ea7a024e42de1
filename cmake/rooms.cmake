# mio_room(NAME DEPS...): one static library from all .c files of the folder.
function(mio_room name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  if(NOT sources)
    message(STATUS "${name}: no sources yet")
    file(WRITE ${CMAKE_BINARY_DIR}/${name}_empty.c "typedef int mio_empty_room;\n")
    set(sources ${CMAKE_BINARY_DIR}/${name}_empty.c)
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC ${ARGN})
endfunction()

# mio_plugin(NAME DEPS...): one provider plugin, a shared object that exports its entry point alone.
function(mio_plugin name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  add_library(plugin_${name} MODULE ${sources})
  target_link_libraries(plugin_${name} PRIVATE ${ARGN})
  target_link_options(plugin_${name} PRIVATE
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/providers/abi/mlops_provider.map -Wl,--exclude-libs,ALL)
  set_target_properties(plugin_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/mlops-iac/providers)
  install(TARGETS plugin_${name} LIBRARY DESTINATION lib/mlops-iac/providers)
endfunction()

# mio_test(FILE DEPS...): one cmocka program, run by ctest under the name of its path below tests/; exit code 77:
# skipped.
function(mio_test file)
  get_filename_component(stem ${file} NAME_WE)
  file(RELATIVE_PATH rel ${CMAKE_SOURCE_DIR}/tests ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  string(REPLACE ".c" "" name ${rel})
  add_executable(${stem} ${file})
  target_link_libraries(${stem} PRIVATE ${ARGN} cmocka)
  set_target_properties(${stem} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${stem})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77
    ENVIRONMENT "MIO_BUILD=${CMAKE_BINARY_DIR};MIO_SOURCE=${CMAKE_SOURCE_DIR}")
endfunction()

# mio_static(OUT NAMES...): the archives of small libraries where the machine has them, their names elsewhere. Loading
# half a dozen shared objects costs more than `version` does.
function(mio_static out)
  set(found)
  foreach(name ${ARGN})
    find_library(MIO_ARCHIVE_${name} lib${name}.a)
    if(MIO_ARCHIVE_${name})
      list(APPEND found ${MIO_ARCHIVE_${name}})
    else()
      list(APPEND found ${name})
    endif()
  endforeach()
  set(${out} ${found} PARENT_SCOPE)
endfunction()
