# shellcheck shell=bash
# Sourced by check-leaks: what runs leave at an API server that goes on. Every object of every kind that the server knows is listed
# before and after, with its uid, generation, labels and annotations, beside namespaces and objects that only look like a run's.
#
# $MESHPROOF is the program, $NAME a local mesh that is up (else one is brought up and taken down), $SCENARIOS what runs.

target='' up='' scratch='' problems=0 program=''
problem() { say "$1"; problems=$((problems + 1)); }

tidy_objects() {
  alikes delete --ignore-not-found --wait=true >/dev/null 2>&1 || true
  [ -z "$up" ] || "$program" target down --target local --name "$target" >/dev/null 2>&1 || true
  [ -z "$scratch" ] || rm -rf "$scratch"
}

k() { kubectl --kubeconfig "$scratch/kubeconfig" "$@"; }

# alikes VERB…: what meshproof must never touch. A namespace that is only named like a run's; one with the label and no annotation;
# one with label, annotations and another name; a control namespace whose stale Lease and journal nobody of ours has written.
alikes() {
  k "$@" -f - <<'YAML'
apiVersion: v1
kind: Namespace
metadata: {name: mp-zzzz1-1-alike}
---
apiVersion: v1
kind: Namespace
metadata: {name: mp-zzzz2-1-alike, labels: {meshproof.dev/run: zzzz2}}
---
apiVersion: v1
kind: Namespace
metadata:
  name: prod-alike
  labels: {meshproof.dev/run: zzzz3}
  annotations: {meshproof.dev/scenario: routing/metadata, meshproof.dev/control: mp-zzzz3-0-control}
---
apiVersion: v1
kind: Namespace
metadata: {name: mp-zzzz4-0-control, labels: {meshproof.dev/run: zzzz4}}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: meshproof-run, namespace: mp-zzzz4-0-control, labels: {meshproof.dev/run: zzzz4}}
spec: {holderIdentity: somebody, leaseDurationSeconds: 1, renewTime: "2020-01-01T00:00:00.000000Z"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: meshproof-journal, namespace: mp-zzzz4-0-control, labels: {meshproof.dev/run: zzzz4}}
data:
  "000000": '{"resource":{"group":"rbac.authorization.k8s.io","version":"v1","api_version":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","plural":"clusterroles"},"name":"mp-alike"}'
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: mp-alike, labels: {meshproof.dev/run: zzzz4}}
rules: []
YAML
}

# Every object of every kind that can be listed, but for those that come and go by themselves. What controllers count is left out: it
# changes with everybody's pods.
objects() {
  local kinds
  kinds=$(k api-resources --verbs list -o name | grep -vE '^(endpoints|endpointslices\.discovery.*|ipaddresses\..*|events|events\..*|componentstatuses|podmetrics.*|nodemetrics.*)$' | sort | paste -sd ,)
  k get "$kinds" -A -o json | jq -r '.items[] | [.apiVersion, .kind, .metadata.namespace // "-", .metadata.name, .metadata.uid,
    (.metadata.generation // 0 | tostring), (.metadata.labels // {} | tojson), (.metadata.annotations // {} | del(.["control-plane.alpha.kubernetes.io/leader"]) | tojson)] | join(" ")' | sort
}

# nothing_left WHAT SECONDS: the listing has to be as before within so long.
nothing_is_left() {
  local deadline=$((SECONDS + $2))
  until objects >"$scratch/after" && cmp -s "$scratch/before" "$scratch/after"; do
    [ $SECONDS -lt $deadline ] && continue
    problem "not as before after $1:
$(diff "$scratch/before" "$scratch/after" | grep '^[<>]' | cut -c -200 | head -n 20 || true)"
    cp "$scratch/after" "$scratch/before" # each difference is told once
    return
  done
  say "as before after $1"
}

run_on() { # HOW [SCENARIOS…]
  local how=$1
  shift
  case $how in
    kept) set -- --target local --name "$target" "$@" ;;
    cluster) set -- --target cluster --context meshproof-local --testbed-image local/testbed:dev --istioctl "$istioctl" "$@" ;;
  esac
  KUBECONFIG="$scratch/kubeconfig" exec "$program" run --report-dir "$scratch/report" -j 2 "$@" >"$scratch/log" 2>&1
}

objects_are_left_alone() { # HOW [TRIES [SECONDS]]
  local how=$1 tries=${2:-20} most=${3:-8} i seconds status alive
  local -a scenarios
  read -ra scenarios <<<"${SCENARIOS:-routing/metadata routing/canary balancing/per-request-client-sidecar}"
  command -v kubectl >/dev/null || die "kubectl is not on PATH"
  command -v jq >/dev/null || die "jq is not on PATH"
  [ -n "${MESHPROOF:-}" ] || programs release
  program=$(realpath "${MESHPROOF:-${meshproof:-}}")
  scratch=$(mktemp -d)
  trap tidy_objects EXIT
  target=${NAME:-leaks-$$}
  if [ -z "${NAME:-}" ]; then
    up=yes
    "$program" target up --name "$target" >/dev/null || die "no target"
  fi
  "$program" target status --target local --name "$target" -o json | jq -r '.[0].kubeconfig' | xargs cat >"$scratch/kubeconfig"
  istioctl=$("$program" target shell --name "$target" -- sh -c 'command -v istioctl')
  alikes apply >/dev/null
  objects >"$scratch/before"
  say "$(wc -l <"$scratch/before") objects before"
  for ((i = 1; i <= tries; i++)); do
    for signal in INT KILL; do
      seconds=$(awk -v r="$RANDOM" -v most="$most" 'BEGIN { printf "%.2f", 0.5 + r / 32768 * most }')
      (run_on "$how" "${scenarios[@]}") &
      sleep "$seconds" # the moment is what varies here
      alive=$(k get namespaces -l meshproof.dev/run -o name | grep -cv alike || true)
      kill -s $signal $! 2>/dev/null || true
      status=0
      wait $! 2>/dev/null || status=$?
      if [ $signal = INT ]; then
        [ "$status" = 130 ] || [ "$status" = 0 ] || problem "status $status, not 130, after INT at $seconds s: $(tail -n 5 "$scratch/log")"
        nothing_is_left "INT no. $i at $seconds s ($alive namespaces then)" 3
      else
        # The next run sweeps when it begins; it is ended as soon as it has.
        (run_on "$how" routing/metadata) || problem "the run after kill -9 ended with $?: $(tail -n 5 "$scratch/log")"
        nothing_is_left "kill -9 no. $i at $seconds s ($alive namespaces then) and one more run" 30
      fi
    done
  done
  echo "$problems problems in $tries of SIGINT and $tries of kill -9 on a $how target"
  [ $problems = 0 ]
}
