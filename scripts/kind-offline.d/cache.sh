# shellcheck shell=bash
# shellcheck disable=SC2154 # root and say come from lib.sh
# What was made before is kept in a directory of files that are named by everything they are made of. A file appears whole or not at all.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/meshproof/kind-offline
# Unfinished files and trees. What an interrupted run left is removed by the next one.
work=$cache/work

# entry NAME ENDING INPUT…: the path of what is made of these inputs: words, or files by their contents (absolute paths).
entry() {
  local input key
  key=$(for input in "${@:3}"; do
    if [[ $input = /* ]]; then sha256sum <"$input"; else printf '%s\n' "$input"; fi
  done | sha256sum | cut -c1-16)
  printf '%s/%s-%s%s' "$cache" "$1" "$key" "$2"
}

# make PATH PHASE COMMAND…: runs COMMAND with the path of an unfinished file after its words, unless PATH is there.
make() {
  local path=$1 unfinished
  unfinished=$work/$(basename "$path")
  if [ -e "$path" ]; then
    say "== $2: cached, $(size "$path")"
    return
  fi
  mkdir -p "$work"
  phase "$2" "${@:3}" "$unfinished" || die "$2 failed; what it said is above, and the next start goes on from here"
  mv "$unfinished" "$path"
  say "   $(size "$path")"
}

size() { du -sh --apparent-size "$1" | cut -f1; }

# The kernel gives the lock back when its holder ends, in whatever way. Long-lived children must not inherit it (9>&-).
take_lock() {
  mkdir -p "$cache" || die "can't write to $cache; set XDG_CACHE_HOME to a directory of your own"
  exec 9>>"$cache/lock"
  if ! flock --nonblock 9; then
    say "waiting for process $(cat "$cache/lock"), which is making the same"
    flock 9
  fi
  echo $$ >"$cache/lock"
  rm -rf "$work"
}

# need_room GIGABYTES
need_room() {
  local free
  free=$(df --output=avail --block-size=1G "$cache" | tail -n 1 | tr -d ' ')
  [ "$free" -ge "$1" ] || die "$cache has $free GB of free space, and $1 are needed; set XDG_CACHE_HOME to a place with more"
}
