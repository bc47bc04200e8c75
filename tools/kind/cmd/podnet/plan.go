package main

import (
	"encoding/json"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// plan is the desired state of one node.
type plan struct {
	// config is the CNI configuration; nil while the node has no range.
	config []byte
	// routes maps the range of another node to the address of that node.
	routes map[string]string
}

func planFor(self string, nodes []*corev1.Node) (plan, error) {
	wanted := plan{routes: map[string]string{}}
	for _, node := range nodes {
		if node.Spec.PodCIDR == "" {
			continue // the controller manager has not assigned a range yet; another event will follow
		}
		pods, err := netip.ParsePrefix(node.Spec.PodCIDR)
		if err != nil || !pods.Addr().Is4() {
			return plan{}, fmt.Errorf("node %s has the pod range %q: only IPv4 is supported", node.Name, node.Spec.PodCIDR)
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

// configFor returns the CNI configuration of a node. Links are point to point, not members of a
// bridge, so that kube-proxy's address translation sees both directions of a connection between
// two pods of one node. Source addresses are kept; masquerade (system.go) hides only what leaves
// the cluster.
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
					"dataDir": "/run/podnet", // lost when the node restarts, like the pods' sandboxes
					"ranges":  [][]object{{{"subnet": pods.Masked().String()}}},
					"routes":  []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
}
