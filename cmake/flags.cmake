# Warnings, hardening and the sanitizer presets, for every target of the tree.
option(MIO_ASAN "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(MIO_TSAN "ThreadSanitizer" OFF)
option(MIO_COVERAGE "gcov instrumentation" OFF)

add_compile_options(
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes
  -Wmissing-prototypes -Wundef -Wvla -Wformat=2 -Wwrite-strings -Wcast-qual -Wswitch-enum -Wno-format-truncation -Werror
  -fvisibility=hidden -fstack-protector-strong -fno-omit-frame-pointer
  -include ${CMAKE_SOURCE_DIR}/providers/sdk/banned.h)
add_compile_definitions(_GNU_SOURCE MIO_VERSION="${PROJECT_VERSION}")
add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)

if(MIO_ASAN)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g)
  add_link_options(-fsanitize=address,undefined)
elseif(MIO_TSAN)
  add_compile_options(-fsanitize=thread -O1 -g)
  add_link_options(-fsanitize=thread)
elseif(MIO_COVERAGE)
  add_compile_options(--coverage -O0 -g)
  add_link_options(--coverage)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-D_FORTIFY_SOURCE=2 -g1)
endif()
