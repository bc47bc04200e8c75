# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that source this
# Shared by the scripts in this directory: packages to install, the duration of phases, paths of
# the binaries.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# programs PROFILE: sets $meshproof to the binary of that profile (debug or release).
programs() {
  local host
  host=$(rustc -vV | sed -n 's/^host: //p') # .cargo/config.toml names the host as target
  meshproof="${CARGO_TARGET_DIR:-$root/target}/$host/$1/meshproof"
}

# The features of meshproof that this machine supports: containers, and the browser if Chromium
# and npm are installed.
features=(--features meshproof/containers)
if command -v npm >/dev/null && { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then
  features=(--features "meshproof/containers,meshproof/browser")
fi

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 2; }

# phase NAME COMMAND…: runs a command, records its duration, and returns its status.
phases=()
phase() {
  local name=$1 began status=0
  shift
  say "== $name"
  began=$(date +%s%N)
  "$@" || status=$?
  phases+=("$(printf '%9.1f s  %s%s' "$((($(date +%s%N) - began) / 100000000))e-1" "$name" "$([ $status = 0 ] || echo "  (failed: $status)")")")
  return $status
}
say_phases() { [ ${#phases[@]} = 0 ] || printf '%s\n' "${phases[@]}" >&2; }

# at_least FOUND MINIMUM: compares versions such as 1.26.8 and 1.26.
at_least() { [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# need_packages COMMAND=PACKAGE…: installs the package of every missing command.
need_packages() {
  local pair missing=()
  for pair in "$@"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
  [ -e /usr/include/stdio.h ] || missing+=(libc6-dev) # the static C library comes with it
  [ ${#missing[@]} = 0 ] && return
  if command -v apt-get >/dev/null; then
    install_packages "apt-get update && apt-get install -y --no-install-recommends" "${missing[@]}"
  elif command -v dnf >/dev/null; then
    die "install these (Debian's names; Fedora calls uidmap shadow-utils, conntrack conntrack-tools, iproute2 iproute): ${missing[*]} with sudo dnf install"
  elif command -v apk >/dev/null; then
    die "install these (Debian's names; Alpine calls uidmap shadow-uidmap, conntrack conntrack-tools): ${missing[*]} with sudo apk add"
  else
    die "install these (Debian's names): ${missing[*]}"
  fi
}

install_packages() {
  local command=$1
  shift
  local root_shell=(env DEBIAN_FRONTEND=noninteractive sh -c)
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || die "packages are missing; run this, then run the script again: sudo sh -c '$command $*'"
    root_shell=(sudo -n "${root_shell[@]}")
  fi
  say "installing $*"
  "${root_shell[@]}" "$command $*" >&2 </dev/null
}

# need_compilers: Go for the control plane, Rust for meshproof. Distributions often have older
# versions, so these are not installed here.
need_compilers() {
  local go rust
  go=$(go env GOVERSION 2>/dev/null | sed 's/^go//' || true)
  at_least "$go" 1.26 || die "Go 1.26 or newer is needed, but PATH has ${go:-none}; install it (Go 1.21 or newer can fetch it: GOTOOLCHAIN=go1.26.0) and run the script again"
  rust=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
  at_least "$rust" 1.95 || die "Rust 1.95 or newer is needed, but PATH has ${rust:-none}; with rustup: rustup toolchain install stable"
}

need_everything() {
  need_packages gcc=gcc python3=python3 newuidmap=uidmap nft=nftables iptables=iptables ip=iproute2 conntrack=conntrack "$@"
  need_compilers
}
