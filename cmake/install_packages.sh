#!/bin/bash
# Installs those of the named Debian packages that are missing; without the right to, prints the one command and fails.
set -u
if ! command -v dpkg-query >/dev/null; then
  exit 0 # not Debian: CMake names what it misses
fi
missing=()
for package in "$@"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
command=(apt-get -o Acquire::Retries=3 install -y --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -eq 0 ]; then
  as_root=()
elif sudo -n true 2>/dev/null; then
  as_root=(sudo -n)
else
  echo "Braid needs these packages: sudo apt-get install -y ${missing[*]}" >&2
  exit 1
fi
echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" "${command[@]}" >/dev/null 2>&1 && exit 0
"${as_root[@]}" apt-get -o Acquire::Retries=3 update >/dev/null && "${as_root[@]}" "${command[@]}" >/dev/null
