#!/usr/bin/env bash
# Redis 7.0.15's own test suite against a running server, in its external-server mode.
#
#   run.sh [--redis | --against HOST:PORT] [--unit NAME]…
#
# Without options it starts build/release/tidemark-server ($TIDEMARK_SERVER) on a free port with a folder of its own. --redis
# takes Debian's redis-server instead, which proves the harness; --against takes a server that somebody else started.
# Cases in skip.txt are not run: each has its reason there, and one that no case answers to any more fails the run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$root/build/conformance

# Lists and sets come last: they raise proto-max-bulk-len and leave it so, which unit/protocol would notice.
units=(
  unit/type/string unit/type/hash unit/type/incr unit/expire unit/keyspace unit/multi unit/scan unit/pubsub
  unit/bitops unit/bitfield unit/protocol unit/quit unit/hyperloglog unit/type/stream unit/type/stream-cgroups
  unit/type/zset unit/geo unit/tracking unit/introspection-2 unit/dump unit/pubsubshard unit/slowlog
  unit/sort unit/scripting unit/functions unit/type/set unit/type/list unit/type/list-2
  unit/type/list-3
)
# What Redis tags as needing something that is not here: DEBUG's inner commands, replication, a snapshot of its own
# format, eviction (nothing is evicted from a store on disk), and machines with tens of gigabytes.
tags="-needs:debug -needs:repl -needs:save -needs:config-maxmemory -large-memory"

server=(tidemark)
host=127.0.0.1
port=
chosen=()
while [ $# -gt 0 ]; do
  case $1 in
    --redis) server=(redis) ;;
    --against) server=(); host=${2%:*} port=${2##*:}; shift ;;
    --unit) chosen+=("$2"); shift ;;
    *) sed -n '2,9p' "$0" >&2; exit 2 ;;
  esac
  shift
done
[ ${#chosen[@]} -eq 0 ] || units=("${chosen[@]}")

bash "$here/fetch.sh" "$build"
mkdir -p "$build/logs"
work=$(mktemp -d "$build/run.XXXXXX")
server_pid=

stop_server() {
  [ -n "$server_pid" ] || return 0
  kill "$server_pid" 2>/dev/null || true
  wait "$server_pid" 2>/dev/null || true
  server_pid=
}
trap 'stop_server; rm -rf "$work"' EXIT

answers() { (exec 3<>"/dev/tcp/$host/$port" && printf 'PING\r\n' >&3 && read -r -t 5 reply <&3 && [[ $reply == +PONG* ]]) 2>/dev/null; }

start_server() {
  [ ${#server[@]} -gt 0 ] || return 0
  mkdir -p "$work/data"
  while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; do :; done
  case ${server[0]} in
    redis) redis-server --port $port --dir "$work/data" --save '' >>"$build/logs/server.log" 2>&1 & ;;
    tidemark) "${TIDEMARK_SERVER:-$root/build/release/tidemark-server}" --port $port --dir "$work/data" >>"$build/logs/server.log" 2>&1 & ;;
  esac
  server_pid=$!
  local deadline=$((SECONDS + 30))
  until answers; do
    if ! kill -0 "$server_pid" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      tail -n 20 "$build/logs/server.log"
      echo "conformance: the server does not answer on port $port" >&2
      exit 1
    fi
    sleep 0.1
  done
}

# skip.txt holds "case | reason"; the suite wants the case alone.
sed -nE '/^(#|$)/d; s/ +\| .*//p' "$here/skip.txt" >"$work/skip"
if grep -vnE '^(#.*|$|.+ \| (later command|encoding|redis-only|known gap): .+)$' "$here/skip.txt"; then
  echo "conformance: skip.txt: a line is 'case | later command: …', 'case | encoding: …', 'case | redis-only: …' or 'case | known gap: …'" >&2
  exit 1
fi

# The suite's two halves meet on a port below --baseport, which it checks badly: a random one keeps runs apart.
run_unit() {
  local unit=$1 log=$build/logs/${1//\//-}.log
  (cd "$build/redis" && TERM=dumb timeout 600 tclsh tests/test_helper.tcl --host "$host" --port "$port" --durable \
    --baseport $((2100 + RANDOM % 7000)) --ignore-encoding --ignore-digest --timeout 60 --skipfile "$work/skip" --tags "$tags" --single "$unit" \
    </dev/null >"$log" 2>&1) || true
  cat "$log" >>"$work/all"
  local done=
  if ! grep -q 'The End' "$log" || grep -q '^\[TIMEOUT\]' "$log"; then done=', ended early'; fi
  printf '%-18s %3d ok, %2d failed, %2d skipped%s\n' "$unit" "$(tally ok "$log")" "$(tally err "$log")" "$(tally '(skip|ignore)' "$log")" "$done"
  # A case's failure is one line and what follows until the next case.
  awk '/^\[/ { show = /^\[(err|exception|TIMEOUT)\]/ } /The End/ { show = 0 } show' "$log" | cut -c1-400 | sed 's/^/    /'
  if [ -n "$done" ]; then broken+=("$unit ended early"); tail -n 5 "$log" | sed 's/^/    /'; fi
  if ! answers; then
    broken+=("the server no longer answers after $unit")
    tail -n 20 "$build/logs/server.log" | sed 's/^/    server: /'
    [ ${#server[@]} -gt 0 ] || return 1
    stop_server
    start_server
  fi
}
tally() { grep -cE "^\[$1\]: " "$2" || true; }

: >"$build/logs/server.log"
: >"$work/all"
broken=()
start_server
for unit in "${units[@]}"; do run_unit "$unit"; done
stop_server

if [ ${#chosen[@]} -eq 0 ]; then
  while read -r name; do
    grep -qxF "[skip]: $name" "$work/all" || broken+=("skip.txt: no case is called '$name'")
  done <"$work/skip"
fi
[ ${#broken[@]} -eq 0 ] || printf 'conformance: FAILED: %s\n' "${broken[@]}"
passed=$(tally ok "$work/all") failed=$(tally err "$work/all")
printf 'result: %d cases run, %d passed, %d failed, %d skipped by file, %d by tag\n' $((passed + failed)) "$passed" "$failed" \
  "$(tally skip "$work/all")" "$(tally ignore "$work/all")"
[ "$failed" = 0 ] && [ ${#broken[@]} -eq 0 ]
