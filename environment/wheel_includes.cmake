# Building messages against the ROS wheels of .venv needs two repairs, or CMake refuses to generate. ROS from apt needs
# none. Pass this file as -DCMAKE_PROJECT_INCLUDE.
function(mend_wheel_includes)
  # The wheels' targets name an include directory of the machine that built them.
  get_directory_property(imported IMPORTED_TARGETS)
  foreach(target IN LISTS imported)
    if(target MATCHES "rosidl_generator_py")
      get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
      list(FILTER includes EXCLUDE REGEX "^/opt/python")
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${includes}")
    endif()
  endforeach()

  # Our own target exports the include directory of NumPy, which may not lie in the source directory, as .venv does.
  set(target ${PROJECT_NAME}__rosidl_generator_py)
  get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
  list(TRANSFORM includes REPLACE "^(.*/site-packages/.*)$" "$<BUILD_INTERFACE:\\1>")
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${includes}")
endfunction()
cmake_language(DEFER CALL mend_wheel_includes)
