#!/usr/bin/env bash
# A disaster from start to end: back up, write, force a flush, lose the machine, and get every moment back.
#
#   examples/disaster.sh [ARCHIVE]     local:///folder or s3://bucket/prefix?endpoint=…; a folder of its own if none is given
#
# Needs the two programs (./dev build) and redis-cli. Ends with "nothing missing, nothing extra", or with an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

server=${TIDEMARK_SERVER:-build/release/tidemark-server}
tidemark=${TIDEMARK_CLI:-build/release/tidemark}
port=${PORT:-7399}
writes=${WRITES:-100000}
work=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-disaster.XXXXXX")
archive=${1:-local://$work/archive}
pid=

say() { printf '\n== %s\n' "$*"; }
redis() { redis-cli -h 127.0.0.1 -p "$port" "$@"; }
end_all() { [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$work"; }
trap end_all EXIT

start_server() {
  "$server" --port "$port" --bind 127.0.0.1 --dir "$1" >>"$work/server.log" 2>&1 &
  pid=$!
  for _ in $(seq 300); do
    [ "$(redis ping 2>/dev/null)" = PONG ] && return
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$work/server.log" >&2
  echo "the server does not answer" >&2
  exit 1
}

# Waits until the server has ended by itself (after SHUTDOWN).
await_end() { wait "$pid" || true; pid=; }

# What a client remembers: line N is his Nth write, "key value". Half of the writes replace an earlier one.
history() { awk -v n="$writes" 'BEGIN { for (i = 1; i <= n; i++) printf "key:%d value-of-write-%d\n", (i * 7919) % (n / 2), i }'; }

# Sends lines FROM to TO of the history, and prints the server's time afterwards.
write_part() {
  sed -n "$1,$2p" "$work/history" | awk '{ printf "SET %s %s\r\n", $1, $2 }' | redis --pipe >"$work/pipe.log"
  grep -q 'errors: 0' "$work/pipe.log" || { cat "$work/pipe.log" >&2; exit 1; }
  redis time | awk 'NR == 1 { seconds = $1 } NR == 2 { printf "%d.%06d\n", seconds, $1 }' | while read -r at; do
    printf '%s.%sZ\n' "$(date -u -d "@${at%.*}" +%FT%T)" "${at#*.}"
  done
}

# The keys and values that the first N writes leave, in order.
expected() { head -n "$1" "$work/history" | awk '{ last[$1] = $2 } END { for (key in last) print key, last[key] }' | LC_ALL=C sort; }
# What the server has.
present() {
  redis --scan | LC_ALL=C sort >"$work/keys"
  xargs -n 1000 redis-cli -h 127.0.0.1 -p "$port" mget <"$work/keys" | paste -d ' ' "$work/keys" -
}

say "A server, and a task that archives its log"
history >"$work/history"
start_server "$work/data"
"$tidemark" log start --node "127.0.0.1:$port" --task-name disaster --storage "$archive"

say "$writes writes, and two moments in between that we remember"
first=$((writes * 2 / 5)) second=$((writes * 7 / 10))
at_first=$(write_part 1 "$first")
at_second=$(write_part $((first + 1)) "$second")
write_part $((second + 1)) "$writes" >"$work/at_end"
echo "after write $first: $at_first; after write $second: $at_second"

say "Force a flush: from here on the loss is nothing"
"$tidemark" log flush --nodes "127.0.0.1:$port"

say "Disaster: the process is killed, the disk is gone"
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
pid=
rm -rf "$work/data"

say "What the archive has"
"$tidemark" archive verify "$archive"

check() {
  local name=$1 to=$2 count=$3
  say "Restore to $name ($to)"
  "$tidemark" restore --from "$archive" --to "$to" --data "$work/restored-$name"
  start_server "$work/restored-$name"
  expected "$count" >"$work/expected"
  present >"$work/present"
  cmp "$work/expected" "$work/present"
  echo "$(wc -l <"$work/present") keys, each with the value of the last of $count writes"
  redis shutdown nosave || true
  await_end
}
check first "$at_first" "$first"
check second "$at_second" "$second"
check end latest "$writes"

say "Three moments restored: nothing missing, nothing extra"
