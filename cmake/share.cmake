# What an installed mlops-iac brings beside programs and plugins: modules, the complete example, the guide.
set(MIO_SHARE ${CMAKE_INSTALL_DATADIR}/mlops-iac)
if(EXISTS ${CMAKE_SOURCE_DIR}/modules)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/modules DESTINATION ${MIO_SHARE})
endif()
install(DIRECTORY ${CMAKE_SOURCE_DIR}/.cloud/ DESTINATION ${MIO_SHARE}/example
  PATTERN .mlops-iac* EXCLUDE PATTERN .state EXCLUDE PATTERN .local-platform EXCLUDE PATTERN __pycache__ EXCLUDE)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
