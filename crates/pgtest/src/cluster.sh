# A PostgreSQL server that lives as long as whoever holds the other end of standard input. The kernel
# closes that end however the holder goes away, SIGKILL included, so no server is ever left behind.
#
#   cluster.sh <bin> <port> [option …]      options as `postgres -c` takes them
#
# Where TLS_CERTIFICATE and TLS_KEY hold PEM, it speaks TLS with them.
#
# Says where its files are, then "ready". Understands "stop" (as a crash would) and "start", "freeze" (its
# processes are stopped where they are) and "thaw", a line each, and answers each with a line.
set -eu
bin=$1 port=$2
shift 2

dir=$(mktemp -d "${TMPDIR:-/tmp}/chatsdk-pgtest.XXXXXX")
options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$dir"
for option in "$@"; do options="$options -c $option"; done

start() { "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 -o "$options" start >>"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }; }
stop() { signal CONT 2>/dev/null || true; "$bin/pg_ctl" -D "$dir/data" -w -m immediate stop >>"$dir/log" 2>&1 || true; }

# The first of its processes, which starts no more of them then, and all of its children.
signal() { pid=$(head -n 1 "$dir/data/postmaster.pid"); kill -"$1" "$pid"; pkill -"$1" -P "$pid"; }

trap 'stop; rm -rf "$dir"' EXIT
echo "$dir"
"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
if [ -n "${TLS_CERTIFICATE:-}" ]; then
    umask 077
    printf '%s' "$TLS_CERTIFICATE" >"$dir/data/server.crt"
    printf '%s' "$TLS_KEY" >"$dir/data/server.key"
    options="$options -c ssl=on"
fi
start
echo ready
while read -r word; do
    case $word in
        stop) stop; echo stopped ;;
        start) start; echo ready ;;
        freeze) signal STOP; echo frozen ;;
        thaw) signal CONT; echo thawed ;;
    esac
done
