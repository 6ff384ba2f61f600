# The build's own words: a folder under src/ is one library (tm_library), every *_test.cc
# beside the code goes into that folder's one test program.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

option(TM_WERROR "Treat compiler warnings as errors" ON)
option(TM_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(TM_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them (address,undefined or thread)")

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -fno-omit-frame-pointer)
if(TM_WERROR)
  add_compile_options(-Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wthread-safety)
endif()
if(TM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(TM_SANITIZE)
  add_compile_options(-fsanitize=${TM_SANITIZE} -fno-sanitize-recover=all)
  if(TM_SANITIZE MATCHES undefined AND NOT TM_FUZZ)
    # A check before every access through a pointer doubles the time to compile. The address sanitizer finds null
    # pointers too, and the fuzzers, which decode every format, are built with all of them.
    add_compile_options(-fno-sanitize=null,alignment,object-size,vptr)
  endif()
  if(TM_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The thread sanitizer does not see fences, and GCC warns of each. Asio's and ours stand between atomics.
    add_compile_options(-Wno-tsan)
  endif()
  add_link_options(-fsanitize=${TM_SANITIZE})
endif()

find_program(TM_CCACHE ccache)
if(TM_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TM_CCACHE})
endif()
find_program(TM_MOLD mold)
if(TM_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# What `./dev test` builds: every unit test, those that it also runs under the thread sanitizer, every simulation,
# every fuzzer.
add_custom_target(unit_tests)
add_custom_target(threaded_tests)
add_custom_target(simulations)
add_custom_target(worlds)
add_custom_target(fuzzers)

# tm_library(FOLDER [THREADS] [FLOORS other folders it may use] [LIBS outside libraries])
# Makes the library tm_FOLDER from src/FOLDER/*.cc, and FOLDER_test from src/FOLDER/*_test.cc. THREADS says that
# threads meet in this folder, so its test runs under the thread sanitizer too.
function(tm_library folder)
  cmake_parse_arguments(ARG "THREADS" "" "FLOORS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cc)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*_test.cc)
  list(REMOVE_ITEM sources ${tests} DUMMY)
  list(TRANSFORM ARG_FLOORS PREPEND tm_)
  if(sources)
    add_library(tm_${folder} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(tm_${folder} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(tm_${folder} ${scope} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(tm_${folder} ${scope} ${ARG_FLOORS} ${ARG_LIBS})
  if(tests)
    tm_test(${folder}_test LABEL unit SOURCES ${tests} LINK tm_${folder})
    add_dependencies(unit_tests ${folder}_test)
    if(ARG_THREADS)
      add_dependencies(threaded_tests ${folder}_test)
      set_tests_properties(${folder}_test PROPERTIES LABELS "unit;threads")
    endif()
  endif()
endfunction()

# tm_test(NAME LABEL label SOURCES files… LINK libraries…): one GoogleTest program, one test of ctest.
function(tm_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gmock_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL})
endfunction()

# tm_simulation(NAME FLOORS folders…): tests/sim/NAME.cc and NAME_*.cc, a GoogleTest program that reads TM_SIM_SEED (one
# seed) and TM_SIM_SEEDS (how many) from the environment. WORLD says that it orders real threads itself
# (sim_cluster_threads.h): a sanitizer, which wants the same functions for itself, has no place beside that.
function(tm_simulation name)
  cmake_parse_arguments(ARG "WORLD" "" "FLOORS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/sim/${name}.cc ${CMAKE_SOURCE_DIR}/tests/sim/${name}_*.cc)
  list(TRANSFORM ARG_FLOORS PREPEND tm_)
  if(ARG_WORLD)
    tm_test(${name} LABEL world SOURCES ${sources} LINK ${ARG_FLOORS})
    add_dependencies(worlds ${name})
  else()
    tm_test(${name} LABEL sim SOURCES ${sources} LINK ${ARG_FLOORS})
    add_dependencies(simulations ${name})
  endif()
endfunction()

# tm_fuzzer(NAME FLOORS folders…): tests/fuzz/NAME_fuzz.cc with its corpus in tests/fuzz/corpus/NAME; only where TM_FUZZ.
function(tm_fuzzer name)
  if(NOT TM_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "FLOORS" ${ARGN})
  list(TRANSFORM ARG_FLOORS PREPEND tm_)
  add_executable(${name}_fuzz ${CMAKE_SOURCE_DIR}/tests/fuzz/${name}_fuzz.cc)
  target_link_libraries(${name}_fuzz PRIVATE ${ARG_FLOORS})
  target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers ${name}_fuzz)
endfunction()
