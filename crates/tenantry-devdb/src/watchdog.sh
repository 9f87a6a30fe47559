# The watchdog of one throwaway server. It ends the server and removes its folder as soon as nobody
# uses it any more, however the users came to their end: it waits for the end of pipes whose other
# ends the kernel closes when a process dies.
#
# $1      the server's folder
# $2      pg_ctl
# $3      seconds to wait for the next user; empty for a server of one process
# stdin   a pipe held open by the process that started the server, and by initdb and pg_ctl while they
#         run, so that nothing is removed under their hands
# stdout  a locked file: the lock tells others that this watchdog is alive

home=$1 pg_ctl=$2 linger=$3

finish() {
    trap '' TERM
    pid=
    [ -s "$home/data/postmaster.pid" ] && read -r pid <"$home/data/postmaster.pid"
    case $pid in
    # Not started, or the remains of an initdb that was killed.
    '' | -*) ;;
    *)
        # A test may have stopped it with SIGSTOP.
        kill -CONT "$pid" 2>/dev/null
        "$pg_ctl" stop -D "$home/data" -m immediate -t 20 >/dev/null 2>&1 </dev/null ||
            { [ -e "$home/data/postmaster.pid" ] && kill -KILL "$pid" 2>/dev/null; }
        ;;
    esac
    # A server in its last moments may still write a file.
    tries=0
    cd /
    until rm -rf "$home" 2>/dev/null >&2 || [ $tries -ge 50 ]; do
        sleep 0.1 >/dev/null
        tries=$((tries + 1))
    done
    exit 0
}

until_end() { while read -r _; do :; done; }

trap '' HUP INT
trap finish TERM

if [ -n "$linger" ]; then
    # Opened for both first, because opening a fifo for reading alone waits for a writer.
    mkfifo "$home/users" && exec 3<>"$home/users" 4<"$home/users" 3>&-
fi

until_end

# Every user writes a line when it comes and keeps the fifo open while it stays.
if [ -n "$linger" ] && [ -e "$home/ready" ]; then
    while :; do
        until_end <&4
        sleep "$linger" >/dev/null 4<&-
        read -r _ <&4 && continue
        # From here on nobody can join; who slipped in before this is served to the end.
        mv "$home/users" "$home/closed"
        until_end <&4
        break
    done
fi

finish
