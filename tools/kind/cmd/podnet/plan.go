package main

import (
	"encoding/json"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// plan is what one node should have.
type plan struct {
	// config is the CNI configuration; nil as long as the node has no range of its own.
	config []byte
	// routes: range of another node, address of that node.
	routes map[string]string
}

func planFor(self string, nodes []*corev1.Node) (plan, error) {
	wanted := plan{routes: map[string]string{}}
	for _, node := range nodes {
		if node.Spec.PodCIDR == "" {
			continue // the controller manager has not been here yet; another event will tell
		}
		pods, err := netip.ParsePrefix(node.Spec.PodCIDR)
		if err != nil || !pods.Addr().Is4() {
			return plan{}, fmt.Errorf("node %s has the pod range %q: only IPv4 is known here", node.Name, node.Spec.PodCIDR)
		}
		if node.Name == self {
			if wanted.config, err = configFor(pods); err != nil {
				return plan{}, err
			}
		} else if via, ok := internalIPv4(node); ok {
			wanted.routes[pods.Masked().String()] = via.String()
		}
	}
	return wanted, nil
}

func internalIPv4(node *corev1.Node) (netip.Addr, bool) {
	for _, address := range node.Status.Addresses {
		if parsed, err := netip.ParseAddr(address.Address); address.Type == corev1.NodeInternalIP && err == nil && parsed.Is4() {
			return parsed, true
		}
	}
	return netip.Addr{}, false
}

// configFor: links are point to point, not members of a bridge, so that kube-proxy's address translation sees both directions of a
// connection between two pods of one node. Sources are kept; masquerade (system.go) hides only what leaves the cluster.
func configFor(pods netip.Prefix) ([]byte, error) {
	type object = map[string]any
	return json.MarshalIndent(object{
		"cniVersion": "1.0.0",
		"name":       "podnet",
		"plugins": []object{
			{
				"type":   "ptp",
				"ipMasq": false,
				"ipam": object{
					"type":    "host-local",
					"dataDir": "/run/podnet", // forgotten when the node starts anew, like the pods' sandboxes
					"ranges":  [][]object{{{"subnet": pods.Masked().String()}}},
					"routes":  []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
}
