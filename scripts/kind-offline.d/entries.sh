# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # variables of cache.sh, functions of lib.sh, variables that `image inputs` prints; variables for the script that sources this
# What is built, from which inputs, and how.

mirror=${MESHPROOF_DEBIAN_MIRROR:-http://deb.debian.org/debian}
suite=bookworm # its systemd still runs on machines with cgroup v1
hub=local
tag=dev
# How a node's container starts. systemd reads `container`, and shuts down cleanly only on this
# signal.
node_start=(--entrypoint=/usr/local/bin/entrypoint --entrypoint=/sbin/init --env=container=docker --stop-signal=SIGRTMIN+3)

# prepare_programs: builds meshproof if needed, and prepares the tool chain with it.
prepare_programs() {
  local first=no
  find_meshproof || first=yes
  if [ $first = yes ]; then
    need_packages gcc=gcc python3=python3
    need_compilers
    programs debug
    (cd "$root" && cargo build --package meshproof --bins) >&2 || return
  fi
  "$meshproof" toolchain prepare --kind || return
  find_programs
}

find_meshproof() {
  if [ -n "${MESHPROOF-}" ]; then
    meshproof=$MESHPROOF
    [ -x "$meshproof" ] || die "MESHPROOF is $MESHPROOF, which is not an executable file"
    return
  fi
  local profile
  for profile in release debug; do
    programs $profile 2>/dev/null
    [ -x "$meshproof" ] && "$meshproof" image pack --help >/dev/null 2>&1 && return
  done
  return 1
}

# find_programs: sets the directories of the tool chain, and its versions.
find_programs() {
  local said
  [ -n "${meshproof-}" ] || find_meshproof || die "meshproof is not built; run scripts/kind-offline"
  said=$("$meshproof" image inputs) || die "the tool chain is incomplete; run scripts/kind-offline"
  eval "$said"
}

# The paths of the files, from all their inputs. The name of a set identifies its contents.
name_entries() {
  local arch code=$root/src/image
  arch=$(uname -m)
  userland=$(entry userland .tar "$mirror" $suite "$arch" "$here/debian")
  istio=$(entry istio .tar "$(basename "$userland")" "$(basename "$control_plane_set")" "$(basename "$envoy_set")" $hub $tag "$code"/{save,layer,tree,istio}.rs)
  node=$(entry node .tar "$(basename "$userland")" "$(basename "$kind_set")" "$here/debian")
  server=$(entry server .tar.gz "$(basename "$userland")" "$(basename "$control_plane_set")" "$(basename "$kind_set")" "$code"/{save,layer,tree,kubernetes}.rs)
  node_archive=$(entry node-image .tar.gz "$(basename "$node")" "$(basename "$server")" "${node_start[@]}" "$code/save.rs" "$here"/manifests/{cni,storage}.yaml)
  node_image=local/kind-node:$kubernetes_version-$(basename "$node_archive" .tar.gz | cut -d- -f3)
  base_image=local/kind-base:$(basename "$node" .tar | cut -d- -f2)
}

debian() {
  logged debian env DEBS="$cache/debs" SUITE=$suite MIRROR="$mirror" "$here/debian" "$@" && return
  say "Debian's mirror is $mirror (MESHPROOF_DEBIAN_MIRROR)"
  return 1
}

# logged NAME COMMAND…: writes the output of the command to a file, and shows its end when the
# command fails.
logged() {
  local log=$cache/$1.log
  "${@:2}" >"$log" 2>&1 && return
  tail -n 15 "$log" >&2
  say "full log: $log"
  return 1
}

# Distributions other than Debian package its keys separately.
need_keyring() {
  [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || install_packages "apt-get update && apt-get install -y" debian-archive-keyring
}

istio_images() {
  "$meshproof" image istio --control-plane "$control_plane_set" --envoy "$envoy_set" --envoy-version "$envoy_version" --userland "$userland" \
    --hub $hub --tag $tag "$1"
}
kubernetes_images() { "$meshproof" image kubernetes --control-plane "$control_plane_set" --kind "$kind_set" --userland "$userland" "$1"; }

# node_image: runs kind's own builder on the base image and the images of a cluster, with our
# network and no storage.
node_image() {
  local container made=$node_image-kind
  mkdir -p "$work"
  if engine_is_ours; then # remove what an interrupted build left
    docker ps --all --quiet --filter name=^kind-build- | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
  fi
  "$meshproof" image pack --name "$base_image" --layer "$node" "${node_start[@]}" "$work/base.tar" &&
    docker load --quiet --input "$work/base.tar" >&2 &&
    rm "$work/base.tar" &&
    TMPDIR=$work logged kind "$kind_set/bin/kind" build node-image --type file --base-image "$base_image" --image "$made" "$server" &&
    container=$(docker create --network none "$made") &&
    docker cp --quiet "$here/manifests/cni.yaml" "$container:/kind/manifests/default-cni.yaml" &&
    docker cp --quiet "$here/manifests/storage.yaml" "$container:/kind/manifests/default-storage.yaml" &&
    docker commit "$container" "$node_image" >/dev/null &&
    docker rm "$container" >/dev/null &&
    docker rmi "$made" "$base_image" >/dev/null
}

save_node_image() { docker save "$node_image" | gzip -1 >"$1"; }

print_env() {
  printf 'export %s=%q\n' MESHPROOF_NODE_IMAGE "$node_image" MESHPROOF_HUB $hub MESHPROOF_TAG $tag MESHPROOF_PROFILE stock \
    MESHPROOF_KIND "$kind_set/bin/kind" MESHPROOF_IMAGE_ARCHIVES "$istio"
  print_engine
}

print_engine() { [ -z "${DOCKER_HOST-}" ] || printf 'export DOCKER_HOST=%q\n' "$DOCKER_HOST"; }
