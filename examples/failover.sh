#!/usr/bin/env bash
# A failover from start to end: a primary, two replicas, three sentinels, a client that counts; the primary is killed.
#
#   examples/failover.sh
#
# Needs the server (./dev build), redis-cli and redis-server, whose sentinel it runs. Uses ports from PORT (7500) to
# PORT + 22. Ends with "nothing confirmed was lost", or with an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

server=${TIDEMARK_SERVER:-build/release/tidemark-server}
base=${PORT:-7500}
ports=("$base" "$((base + 1))" "$((base + 2))")
sentinels=("$((base + 20))" "$((base + 21))" "$((base + 22))")
work=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-failover.XXXXXX")
declare -A pids=()

say() { printf '\n== %s\n' "$*"; }
redis() { redis-cli -h 127.0.0.1 -p "$@"; }
kill_all() { { kill -9 "$@" && wait "$@"; } 2>/dev/null || true; }
end_all() { kill_all "${pids[@]}" && rm -rf "$work"; }
trap end_all EXIT

# Asks once in a while, a minute long: await WHAT COMMAND…
await() {
  local what=$1
  shift
  for _ in $(seq 1200); do
    if "$@"; then return; fi
    sleep 0.05
  done
  tail -n 20 "$work"/*.log >&2
  echo "after a minute still not so: $what" >&2
  exit 1
}

answers() { [ "$(redis "$1" ping 2>/dev/null)" = PONG ]; }
field() { redis "$1" info replication 2>/dev/null | tr -d '\r' | sed -n "s/^$2://p"; }
follows() { [ "$(field "$1" master_port)" = "$2" ] && [ "$(field "$1" master_link_status)" = up ]; }
digest() { redis "$1" debug digest lsn | tr '\n' ' '; }

start_server() {
  "$server" --port "$1" --rpc-port "$(($1 + 10))" --bind 127.0.0.1 --dir "$work/data-$1" --enable-debug-command local \
    >>"$work/server-$1.log" 2>&1 &
  pids[$1]=$!
  await "the server on port $1 answers" answers "$1"
}

start_sentinel() {
  cat >"$work/sentinel-$1.conf" <<CONFIG
port $1
bind 127.0.0.1
dir $work
sentinel monitor counted 127.0.0.1 ${ports[0]} 2
sentinel down-after-milliseconds counted 1000
sentinel failover-timeout counted 10000
CONFIG
  redis-server "$work/sentinel-$1.conf" --sentinel >>"$work/sentinel-$1.log" 2>&1 &
  pids[$1]=$!
  await "the sentinel on port $1 answers" answers "$1"
}
sentinel_knows() { redis "$1" sentinel master counted | paste - - | grep -qP "^$2\t$3\$"; }
watches_all() { sentinel_knows "$1" num-slaves 2 && sentinel_knows "$1" num-other-sentinels 2; }

# Whom the sentinels name; the first that answers.
primary() {
  local port found
  for port in "${sentinels[@]}"; do
    found=$(redis "$port" sentinel get-master-addr-by-name counted 2>/dev/null | tail -n 1)
    if [ -n "$found" ]; then echo "$found" && return; fi
  done
}
moved() { [ "$(primary)" != "${ports[0]}" ] && [ "$(field "$(primary)" role)" = master ]; }

# Writes one number after the other to whoever is the primary, and notes those that WAIT says two replicas have, or one.
count() {
  local number=0 answer
  while [ ! -e "$work/enough" ]; do
    number=$((number + 1))
    answer=$(printf 'SET count:%d %d\nWAIT 2 300\n' "$number" "$number" |
      timeout 5 redis-cli -h 127.0.0.1 -p "$(primary)" 2>&1) || true
    case $answer in
      $'OK\n2') echo "$number" >>"$work/two" ;;
      $'OK\n1') echo "$number" >>"$work/one" ;;
      *) echo "$number" >>"$work/none" ;;
    esac
  done
}
lines() { cat "$work/$1" 2>/dev/null | wc -l; }
has_counted() { [ "$(($(lines one) + $(lines two)))" -ge "$1" ]; }
has_counted_to_two() { [ "$(lines two)" -ge "$1" ]; }

# The noted numbers that a server does not have.
missing() {
  sed 's/^/count:/' "$2" | xargs -n 1000 redis-cli -h 127.0.0.1 -p "$1" mget | paste "$2" - |
    awk '$1 != $2 { print $1 }'
}

say "Three servers: a primary and two replicas"
for port in "${ports[@]}"; do start_server "$port"; done
for port in "${ports[1]}" "${ports[2]}"; do redis "$port" replicaof 127.0.0.1 "${ports[0]}"; done
for port in "${ports[1]}" "${ports[2]}"; do await "$port follows" follows "$port" "${ports[0]}"; done
redis "${ports[0]}" role

say "Three sentinels that watch them"
for port in "${sentinels[@]}"; do start_sentinel "$port"; done
for port in "${sentinels[@]}"; do await "the sentinels know each other" watches_all "$port"; done

say "A client that asks the sentinels where to write, and counts"
count &
pids[count]=$!
await "100 writes are confirmed by both replicas" has_counted_to_two 100
echo "$(lines two) writes, each confirmed by both replicas"

say "The primary is killed"
began=$(date +%s%N)
kill_all "${pids[${ports[0]}]}"
await "a replica is the primary" moved
counted=$(($(lines one) + $(lines two)))
await "the client counts on" has_counted "$((counted + 1))"
heir=$(primary)
echo "the primary is $heir; the client wrote on after $((($(date +%s%N) - began) / 1000000)) ms"

say "The killed server comes back: a replica of the one that took over"
start_server "${ports[0]}"
for port in "${ports[@]}"; do [ "$port" = "$heir" ] || await "$port follows" follows "$port" "$heir"; done
counted=$(lines two)
await "writes are confirmed by two replicas again" has_counted_to_two "$((counted + 20))"
touch "$work/enough"
wait "${pids[count]}"

say "What the client was promised, and what each server has"
touch "$work/one" "$work/none"
echo "confirmed by two replicas: $(lines two), by one: $(lines one); unconfirmed, which promises nothing: $(lines none)"
same_position() { [ "$(field "$1" master_repl_offset)" = "$(field "$heir" master_repl_offset)" ]; }
for port in "${ports[@]}"; do await "$port has the whole log" same_position "$port"; done
sort -n "$work/one" "$work/two" >"$work/confirmed"
for port in "${ports[@]}"; do
  echo "$port $(field "$port" role): digest $(digest "$port")"
  [ "$(digest "$port")" = "$(digest "$heir")" ] || { echo "the servers differ" >&2; exit 1; }
  lost=$(missing "$port" "$work/confirmed")
  [ -z "$lost" ] || { echo "lost: $lost" >&2; exit 1; }
done

say "The primary was replaced: nothing confirmed was lost"
