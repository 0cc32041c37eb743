#!/bin/bash
# Installs a build, moves the package, and builds and runs the documentation's programs against it as a user would: through
# find_package, through pkg-config, and with the sources as a subdirectory. Ends with "N passed, N failed, N skipped".
build=$(cd "$1" && pwd) || exit 1
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# check <sentence> <command...>: one case; what the command printed is shown when it fails.
check() {
  local sentence=$1
  shift
  if "$@" >"$work/log" 2>&1; then
    passed=$((passed + 1))
    echo "passed: install: $sentence"
  else
    failed=$((failed + 1))
    echo "failed: install: $sentence"
    tail -n 40 "$work/log"
  fi
}

install_and_move() {
  cmake --install "$build" --prefix "$work/first" && mv "$work/first" "$work/moved place"
}

names_no_folder() {
  [ -d "$work/moved place" ] &&
    ! grep -rlF -e "$work/first" -e "$root" --include='*.cmake' --include='*.pc' --include='*.hpp' "$work/moved place"
}

holds_the_licence() { find "$work/moved place" -name LICENSE | grep -q .; }

find_package_builds() {
  cmake -S "$here" -B "$work/user" -G Ninja -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_PREFIX_PATH=$work/moved place" &&
    cmake --build "$work/user"
}

pkg_config_builds() {
  local folder flags
  folder=$(dirname "$(find "$work/moved place" -name braid.pc)")
  ln -s "$work/moved place" "$work/moved" # the flags of pkg-config are split at blanks by the shell
  flags=$(PKG_CONFIG_PATH="${folder/moved place/moved}" pkg-config --cflags --libs braid) &&
    c++ "$here/two_inputs.cpp" -o "$work/two_inputs" $flags && "$work/two_inputs"
}

subdirectory_configures() {
  mkdir -p "$work/parent" &&
    printf '%s\n' 'cmake_minimum_required(VERSION 3.25)' 'project(parent LANGUAGES CXX)' \
      "add_subdirectory(\"$root\" braid)" "add_executable(app \"$here/two_inputs.cpp\")" \
      'target_link_libraries(app PRIVATE braid::braid)' >"$work/parent/CMakeLists.txt" &&
    cmake -S "$work/parent" -B "$work/parent/build" -G Ninja &&
    [ ! -e "$work/parent/build/braid/tests" ] &&
    cmake --build "$work/parent/build" --target app -- -n
}

check "the package installs and moves" install_and_move
check "no file of it names the folder it was made in" names_no_folder
check "it brings its licence" holds_the_licence
check "find_package builds the programs of the documentation" find_package_builds
for name in two_inputs sequence_and_features two_outputs; do
  check "$name runs" "$work/user/$name"
done
check "a model is saved" "$work/user/two_inputs" "$work/model.braid"
check "a program that names no layer loads and runs it" "$work/user/load_only" "$work/model.braid"
check "pkg-config builds and runs a program" pkg_config_builds
check "a parent project takes the sources as a subdirectory" subdirectory_configures
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
