# shellcheck shell=bash
# shellcheck disable=SC2154 # variables of cache.sh, functions of lib.sh
# The Docker engine: a running one where there is one, else one of our own, apart from everything, that leaves nothing behind.

# One for each cache. Not in the cache, because the path of a socket must be short and because a restart of the machine ends it.
engine_run=/run/meshproof-kind-$(printf '%s' "$cache" | sha256sum | cut -c1-8)
engine_data=$cache/engine
engine_socket=unix://$engine_run/docker.sock
engine_cgroup=$(basename "$engine_run")

# What Docker, the kubelet and kube-proxy set for a whole machine, below /proc/sys.
engine_settings=(kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes kernel/pid_max fs/file-max fs/nr_open
  vm/overcommit_memory vm/panic_on_oom net/ipv4/ip_forward net/ipv6/conf/all/forwarding net/ipv6/conf/default/forwarding
  net/bridge/bridge-nf-call-iptables net/bridge/bridge-nf-call-ip6tables net/netfilter/nf_conntrack_max)

# Directories that dockerd and containerd make whatever their flags say. Those that were not there before go when they are empty.
engine_directories=(/etc/docker /run/docker /run/containerd /opt/containerd)

# engine_answers [SOCKET]: whether an engine is there.
engine_answers() { ${1:+env DOCKER_HOST="$1"} docker info --format '{{.ServerVersion}}' >/dev/null 2>&1; }

engine_is_ours() { [ "${DOCKER_HOST-}" = "$engine_socket" ]; }

# engine_find: sets DOCKER_HOST where that is needed. The status tells whether an engine answers.
engine_find() {
  command -v docker >/dev/null || return
  if [ -n "${DOCKER_HOST-}" ] && ! engine_is_ours; then
    engine_answers || die "DOCKER_HOST is $DOCKER_HOST and no engine answers there; start it, or unset DOCKER_HOST"
    return
  fi
  unset DOCKER_HOST
  if engine_answers; then return; fi
  export DOCKER_HOST=$engine_socket
  engine_answers
}

engine_started=no
engine_start() {
  if engine_find; then
    say "a Docker engine answers${DOCKER_HOST:+ at $DOCKER_HOST}"
    return
  fi
  need_root
  engine_programs
  # If it was killed, it left the settings of before, and the next engine takes care of its containers.
  mkdir -p "$engine_run" "$engine_data" && chmod 0700 "$engine_run"
  engine_orphan
  [ -e "$engine_run/settings" ] || engine_remember
  echo '{}' >"$engine_run/daemon.json" # not that of another engine on this machine
  local arguments=(
    --config-file "$engine_run/daemon.json" --data-root "$engine_data" --exec-root "$engine_run/exec" --pidfile "$engine_run/dockerd.pid" --host "$engine_socket"
    --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$engine_cgroup"
  )
  if lacks_capabilities; then
    say "this machine withholds capabilities, so that containers ask for one set less (tools/kind/cmd/runc-within)"
    name_shim
    make "$shim" "runc-within" build_shim
    arguments+=(--add-runtime "within=$shim" --default-runtime within)
  fi
  setsid dockerd "${arguments[@]}" >"$engine_run/dockerd.log" 2>&1 </dev/null 9>&- &
  engine_wait $!
  # shellcheck disable=SC2034 # for those that source this
  engine_started=yes
  say "started a Docker engine at $engine_socket"
}

# The next dockerd would wait for the containerd of one that was killed, even when that has ended as well.
engine_orphan() {
  local file=$engine_run/exec/containerd/containerd.pid pid
  pid=$(cat "$file" 2>/dev/null || true)
  if [ -n "$pid" ] && [[ $(readlink "/proc/$pid/exe") = */containerd ]]; then
    kill "$pid" && timeout 20 tail --pid="$pid" -f /dev/null
  fi
  rm -f "$file" "$engine_run/dockerd.pid"
}

# engine_wait PID: until it answers or ends.
engine_wait() {
  local deadline=$((SECONDS + 60))
  until engine_answers "$engine_socket"; do
    if ! kill -0 "$1" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      tail -n 5 "$engine_run/dockerd.log" >&2
      die "dockerd doesn't answer; the end of $engine_run/dockerd.log is above"
    fi
    sleep 0.2
  done
}

# Debian's package would start an engine of its own, which nobody asked for.
engine_programs() {
  local policy=/usr/sbin/policy-rc.d ours=no
  PATH="$PATH:/usr/sbin:/sbin" command -v dockerd >/dev/null && return
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    ours=yes
  fi
  local status=0
  (need_packages dockerd=docker.io) || status=$?
  [ $ours = no ] || rm $policy
  [ $status = 0 ] || die "docker.io could not be installed; what apt said is above"
}

# The shim before runc is built alone, from the standard library: an engine is started also where nothing of kind is.
name_shim() { shim=$(entry runc-within "" "$(go env GOVERSION GOARCH)" "$root"/tools/kind/cmd/runc-within/{main,reduce}.go); }
build_shim() { (cd "$root/tools/kind" && CGO_ENABLED=0 GOFLAGS='' go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$1" ./cmd/runc-within); }

lacks_capabilities() {
  local bounding last
  bounding=$((16#$(sed -n 's/^CapBnd:\s*//p' /proc/self/status)))
  last=$(cat /proc/sys/kernel/cap_last_cap)
  [ $bounding != $(((1 << (last + 1)) - 1)) ]
}

engine_remember() {
  local setting directory
  for directory in "${engine_directories[@]}"; do
    [ -e "$directory" ] || echo "$directory"
  done >"$engine_run/new-directories"
  for setting in "${engine_settings[@]}"; do
    if [ -r "/proc/sys/$setting" ]; then echo "$setting $(cat "/proc/sys/$setting")"; fi
  done >"$engine_run/settings"
}

engine_put_back() {
  local setting value now
  while read -r setting value; do
    now=$(cat "/proc/sys/$setting")
    [ "$now" = "$value" ] && continue
    echo "$value" >"/proc/sys/$setting" && say "put back ${setting//\//.}: $now was $value"
  done <"$engine_run/settings"
}

# engine_stop [--force]: not while containers run, which may be somebody else's: everyone with this cache has the same engine.
engine_stop() {
  local pid names bridges
  [ -d "$engine_run" ] || { say "no engine of ours is running"; return; }
  need_root
  export DOCKER_HOST=$engine_socket
  engine_answers || engine_start # it was killed; another one knows how to end what it left
  names=$(docker ps --format '{{.Names}}' | tr '\n' ' ')
  if [ -n "$names" ] && [ "${1-}" != --force ]; then
    die "the engine runs these containers: $names
delete their clusters first (kind get clusters; kind delete cluster --name NAME), or end them with: scripts/kind-offline engine stop --force"
  fi
  bridges=$(docker network ls --quiet --filter driver=bridge | sed 's/^/br-/')
  pid=$(cat "$engine_run/dockerd.pid")
  kill "$pid"
  timeout 60 tail --pid="$pid" -f /dev/null || die "dockerd (process $pid) doesn't end; see $engine_run/dockerd.log"
  engine_sweep "$bridges"
  say "stopped the Docker engine"
}

# engine_sweep BRIDGES: everything of an engine that runs no more: settings, links, mounts, control groups, directories.
engine_sweep() {
  local bridge group directory
  engine_put_back
  for bridge in $1; do
    if ip link show "$bridge" >/dev/null 2>&1; then ip link delete "$bridge"; fi
  done
  if mountpoint --quiet "$engine_data"; then umount "$engine_data"; fi # a killed dockerd leaves it
  while read -r group; do rmdir "$group"; done < <(find /sys/fs/cgroup -depth -type d -path "*/$engine_cgroup*")
  while read -r directory; do
    rm -f "$directory/key.json" # dockerd's name for itself
    find "$directory" -depth -type d -empty -delete 2>/dev/null || true
  done <"$engine_run/new-directories"
  rm -rf "$engine_run"
}
