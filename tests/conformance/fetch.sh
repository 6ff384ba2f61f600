#!/usr/bin/env bash
# fetch.sh FOLDER: puts the source of Redis as Debian has it into FOLDER/redis, once. Debian's source index is read with
# lists and sources of its own under FOLDER, so that the system's apt is left as it is.
set -euo pipefail
folder=$(realpath -m "${1:?usage: fetch.sh FOLDER}")
[ ! -f "$folder/redis/tests/test_helper.tcl" ] || exit 0

apt=$folder/apt
rm -rf "$apt" "$folder/redis" "$folder/unpack"
mkdir -p "$apt/sources" "$apt/lists/partial" "$apt/cache/archives/partial" "$folder/unpack"

# The system's Debian sources, in both of apt's notations, asked for source packages.
shopt -s nullglob
for file in /etc/apt/sources.list.d/*.sources; do
  # A stanza a paragraph; those whose URI is Debian's.
  awk 'BEGIN { RS = ""; ORS = "\n\n" } tolower($0) ~ /uris:[^\n]*debian/ { sub(/Types:[^\n]*/, "Types: deb-src"); print }' \
    "$file" >>"$apt/sources/debian.sources"
done
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ -f "$file" ] && sed -nE 's/^deb(-src)? (.*debian.*)$/deb-src \2/p' "$file" | sort -u >>"$apt/sources/debian.list"
done
find "$apt/sources" -empty -delete
[ -d "$apt/sources" ] || { echo "conformance: no Debian source found in /etc/apt" >&2; exit 1; }

options=(
  -q -o Acquire::Retries=3 -o APT::Get::List-Cleanup=false -o APT::Sandbox::User=
  -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/sources"
  -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
)
apt-get "${options[@]}" update
cd "$folder/unpack"
apt-get "${options[@]}" source redis
mv redis-*/ "$folder/redis"
rm -rf "$folder/unpack" "$apt"
