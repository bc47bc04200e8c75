# shellcheck shell=bash
# shellcheck disable=SC2154 # lib.sh defines root and say
# Everything that is built is kept in a directory of files that are named by a hash of their
# inputs. A file appears complete or not at all.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/meshproof/kind-offline
# Unfinished files and trees. The next run removes what an interrupted one left.
work=$cache/work

# entry NAME ENDING INPUT…: prints the path of the file that is built from these inputs. An input
# is a string, or an absolute path, which stands for the file's contents.
entry() {
  local input key
  key=$(for input in "${@:3}"; do
    if [[ $input = /* ]]; then sha256sum <"$input"; else printf '%s\n' "$input"; fi
  done | sha256sum | cut -c1-16)
  printf '%s/%s-%s%s' "$cache" "$1" "$key" "$2"
}

# make PATH PHASE COMMAND…: runs COMMAND with the path of an unfinished file as last argument,
# unless PATH exists.
make() {
  local path=$1 unfinished
  unfinished=$work/$(basename "$path")
  if [ -e "$path" ]; then
    say "== $2: cached, $(size "$path")"
    return
  fi
  mkdir -p "$work"
  phase "$2" "${@:3}" "$unfinished" || die "$2 failed; its output is above; the next run continues from here"
  mv "$unfinished" "$path"
  say "   $(size "$path")"
}

size() { du -sh --apparent-size "$1" | cut -f1; }

# The kernel releases the lock when its holder ends, however it ends. Long-lived children must not
# inherit it (9>&-).
take_lock() {
  mkdir -p "$cache" || die "cannot write to $cache; set XDG_CACHE_HOME to a directory of your own"
  exec 9>>"$cache/lock"
  if ! flock --nonblock 9; then
    say "waiting for process $(cat "$cache/lock"), which is building the same files"
    flock 9
  fi
  echo $$ >"$cache/lock"
  rm -rf "$work"
}

# need_room GIGABYTES
need_room() {
  local free
  free=$(df --output=avail --block-size=1G "$cache" | tail -n 1 | tr -d ' ')
  [ "$free" -ge "$1" ] || die "$cache has $free GB of free space, but $1 GB are needed; set XDG_CACHE_HOME to a directory with more"
}
