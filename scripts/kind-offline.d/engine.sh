# shellcheck shell=bash
# shellcheck disable=SC2154 # variables of cache.sh, functions of lib.sh
# The Docker engine: a running one if there is one, otherwise our own, which is isolated from
# others and leaves nothing behind.

# One directory for each cache. It is not in the cache, because the path of a socket must be short
# and because a restart of the machine ends the engine.
engine_run=/run/meshproof-kind-$(printf '%s' "$cache" | sha256sum | cut -c1-8)
engine_data=$cache/engine
engine_socket=unix://$engine_run/docker.sock
engine_cgroup=$(basename "$engine_run")

# Settings below /proc/sys that Docker, the kubelet and kube-proxy change for the whole machine.
engine_settings=(kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes kernel/pid_max fs/file-max fs/nr_open
  vm/overcommit_memory vm/panic_on_oom net/ipv4/ip_forward net/ipv6/conf/all/forwarding net/ipv6/conf/default/forwarding
  net/bridge/bridge-nf-call-iptables net/bridge/bridge-nf-call-ip6tables net/netfilter/nf_conntrack_max)

# Directories that dockerd and containerd create whatever their flags. Those that did not exist
# before are removed when they are empty.
engine_directories=(/etc/docker /run/docker /run/containerd /opt/containerd)

# engine_answers [SOCKET]: whether an engine answers.
engine_answers() { ${1:+env DOCKER_HOST="$1"} docker info --format '{{.ServerVersion}}' >/dev/null 2>&1; }

engine_is_ours() { [ "${DOCKER_HOST-}" = "$engine_socket" ]; }

# engine_find: sets DOCKER_HOST if needed. The status says whether an engine answers.
engine_find() {
  command -v docker >/dev/null || return
  if [ -n "${DOCKER_HOST-}" ] && ! engine_is_ours; then
    engine_answers || die "DOCKER_HOST is $DOCKER_HOST, but no engine answers there; start it, or unset DOCKER_HOST"
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
  # A killed engine leaves the saved settings behind; the next engine takes over its containers.
  mkdir -p "$engine_run" "$engine_data" && chmod 0700 "$engine_run"
  engine_orphan
  [ -e "$engine_run/settings" ] || engine_remember
  echo '{}' >"$engine_run/daemon.json" # not the configuration of another engine on this machine
  local arguments=(
    --config-file "$engine_run/daemon.json" --data-root "$engine_data" --exec-root "$engine_run/exec" --pidfile "$engine_run/dockerd.pid" --host "$engine_socket"
    --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$engine_cgroup"
  )
  if lacks_capabilities; then
    say "this machine withholds capabilities, so privileged containers request only those that it has (tools/kind/cmd/runc-within)"
    name_shim
    make "$shim" "runc-within" build_shim
    arguments+=(--add-runtime "within=$shim" --default-runtime within)
  fi
  setsid dockerd "${arguments[@]}" >"$engine_run/dockerd.log" 2>&1 </dev/null 9>&- &
  engine_wait $!
  # shellcheck disable=SC2034 # used by the scripts that source this
  engine_started=yes
  say "started a Docker engine at $engine_socket"
}

# dockerd would wait for the containerd of a killed dockerd, even after that has ended as well.
engine_orphan() {
  local file=$engine_run/exec/containerd/containerd.pid pid
  pid=$(cat "$file" 2>/dev/null || true)
  if [ -n "$pid" ] && [[ $(readlink "/proc/$pid/exe") = */containerd ]]; then
    kill "$pid" && timeout 20 tail --pid="$pid" -f /dev/null
  fi
  rm -f "$file" "$engine_run/dockerd.pid"
}

# engine_wait PID: waits until the engine answers or ends.
engine_wait() {
  local deadline=$((SECONDS + 60))
  until engine_answers "$engine_socket"; do
    if ! kill -0 "$1" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      tail -n 5 "$engine_run/dockerd.log" >&2
      die "dockerd does not answer; the end of $engine_run/dockerd.log is above"
    fi
    sleep 0.2
  done
}

# Debian's package would start its own engine, which is not wanted.
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
  [ $status = 0 ] || die "cannot install docker.io; the output of apt is above"
}

# The shim in front of runc is built on its own, from the standard library only: an engine can be
# started before anything of kind is built.
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
    echo "$value" >"/proc/sys/$setting" && say "restored ${setting//\//.}: $value (was $now)"
  done <"$engine_run/settings"
}

# engine_stop [--force]: refuses while containers run, which may belong to others: everyone with
# this cache shares the engine.
engine_stop() {
  local pid names bridges
  [ -d "$engine_run" ] || { say "this script's engine is not running"; return; }
  need_root
  export DOCKER_HOST=$engine_socket
  engine_answers || engine_start # it was killed; a new one can end what it left
  names=$(docker ps --format '{{.Names}}' | tr '\n' ' ')
  if [ -n "$names" ] && [ "${1-}" != --force ]; then
    die "the engine runs these containers: $names
delete their clusters first (kind get clusters; kind delete cluster --name NAME), or end them with: scripts/kind-offline engine stop --force"
  fi
  bridges=$(docker network ls --quiet --filter driver=bridge | sed 's/^/br-/')
  pid=$(cat "$engine_run/dockerd.pid")
  kill "$pid"
  timeout 60 tail --pid="$pid" -f /dev/null || die "dockerd (process $pid) does not end; see $engine_run/dockerd.log"
  engine_sweep "$bridges"
  say "stopped the Docker engine"
}

# engine_sweep BRIDGES: removes everything that an ended engine left: settings, links, mounts,
# control groups, directories.
engine_sweep() {
  local bridge group directory
  engine_put_back
  for bridge in $1; do
    if ip link show "$bridge" >/dev/null 2>&1; then ip link delete "$bridge"; fi
  done
  if mountpoint --quiet "$engine_data"; then umount "$engine_data"; fi # a killed dockerd leaves the mount behind
  while read -r group; do rmdir "$group"; done < <(find /sys/fs/cgroup -depth -type d -path "*/$engine_cgroup*")
  while read -r directory; do
    rm -f "$directory/key.json" # dockerd's identity
    find "$directory" -depth -type d -empty -delete 2>/dev/null || true
  done <"$engine_run/new-directories"
  rm -rf "$engine_run"
}
