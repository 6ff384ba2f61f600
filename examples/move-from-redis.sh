#!/usr/bin/env bash
# A live Redis moves to Tidemark, and everything back again, while a client writes: follow, compare, take over, export.
#
#   examples/move-from-redis.sh
#
# Needs the two programs (./dev build), redis-server and redis-cli. Ends with "both ways, nothing lost", or with an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

server=${TIDEMARK_SERVER:-build/release/tidemark-server}
tidemark=${TIDEMARK_CLI:-build/release/tidemark}
old_port=${OLD_PORT:-7397} port=${PORT:-7399} back_port=${BACK_PORT:-7398}
work=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-move.XXXXXX")
pids=()

say() { printf '\n== %s\n' "$*"; }
old() { redis-cli -h 127.0.0.1 -p "$old_port" "$@"; }
new() { redis-cli -h 127.0.0.1 -p "$port" "$@"; }
back() { redis-cli -h 127.0.0.1 -p "$back_port" "$@"; }
end_all() { for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done; rm -rf "$work"; }
trap end_all EXIT

# Waits until a command prints what it should.
await() {
  local wanted=$1
  shift
  for _ in $(seq 600); do
    [ "$("$@" 2>/dev/null)" = "$wanted" ] && return
    sleep 0.1
  done
  echo "still not '$wanted': $*" >&2
  exit 1
}
field() { "$1" info replication | tr -d '\r' | awk -F: -v name="$2" '$1 == name { print $2 }'; }
# Every key with its value, in order. What a client sees, whatever keeps it.
picture() {
  "$1" --scan | LC_ALL=C sort | while read -r key; do
    printf '%s ' "$key"
    case $("$1" type "$key") in
      string) "$1" get "$key" ;;
      hash) "$1" hgetall "$key" | paste -d ' ' - - | LC_ALL=C sort | tr '\n' ' ' ;;
      *) "$1" dump "$key" | md5sum ;;
    esac
    echo
  done
}

say "A Redis with data, and a client that never stops writing"
mkdir "$work/old" "$work/back"
redis-server --port "$old_port" --bind 127.0.0.1 --dir "$work/old" --save "" --repl-diskless-sync-delay 0 >"$work/old.log" &
pids+=($!)
await PONG old ping
for i in $(seq 300); do printf 'SET key:%d value-%d\r\nHSET hash:%d f1 %d f2 x\r\n' "$i" "$i" $((i % 50)) "$i"; done |
  old --pipe >"$work/pipe.log"
touch "$work/writing"
n=0
while [ -e "$work/writing" ]; do
  n=$((n + 1))
  printf 'INCR clicks\nSET live:%d %d\n' $((n % 100)) "$n"
  sleep 0.005
done | old >/dev/null &
writer=$!

say "A Tidemark follows it"
"$server" --port "$port" --bind 127.0.0.1 --dir "$work/new" >"$work/new.log" 2>&1 &
pids+=($!)
await PONG new ping
new replicaof 127.0.0.1 "$old_port"
await up field new master_link_status
new info replication | grep -E '^(master_host|master_port|master_link_status|slave_repl_offset)'

say "The moment of the move: the client stops, the last byte arrives, and the two are the same"
rm "$work/writing"
wait "$writer"
offset=$(field old master_repl_offset)
arrived() { [ "$(field new slave_repl_offset)" -ge "$offset" ] && echo yes; }
await yes arrived
picture old >"$work/picture.old"
picture new >"$work/picture.new"
cmp "$work/picture.old" "$work/picture.new"
echo "$(wc -l <"$work/picture.new") keys, all the same; clicks: $(new get clicks)"

say "Tidemark takes over: from here on clients write there"
new replicaof no one
await master field new role
new set written-here yes

say "And back: one file, which a Redis loads"
"$tidemark" export --rdb "$work/back/dump.rdb" --from "127.0.0.1:$port"
redis-server --port "$back_port" --bind 127.0.0.1 --dir "$work/back" --save "" >"$work/back.log" &
pids+=($!)
await PONG back ping
picture new >"$work/picture.new"
picture back >"$work/picture.back"
cmp "$work/picture.new" "$work/picture.back"

say "both ways, nothing lost"
