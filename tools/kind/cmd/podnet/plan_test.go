package main

import (
	"encoding/json"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func node(name, pods string, addresses ...string) *corev1.Node {
	made := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: pods}}
	for _, address := range addresses {
		made.Status.Addresses = append(made.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: address})
	}
	return made
}

func TestOtherNodesAreReachedByRoutesAndTheOwnRangeByConfiguration(t *testing.T) {
	made, err := planFor("a", []*corev1.Node{
		node("a", "10.244.0.0/24", "172.18.0.2"),
		node("b", "10.244.1.0/24", "fc00::3", "172.18.0.3"),
		node("not-yet", "", "172.18.0.4"),
		node("nowhere", "10.244.4.0/24"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"10.244.1.0/24": "172.18.0.3"}; !reflect.DeepEqual(made.routes, want) {
		t.Errorf("routes %v", made.routes)
	}
	var config struct {
		Plugins []struct {
			Type string
			Ipam struct{ Ranges [][]struct{ Subnet string } }
		}
	}
	if err := json.Unmarshal(made.config, &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Plugins) != 2 || config.Plugins[0].Ipam.Ranges[0][0].Subnet != "10.244.0.0/24" {
		t.Errorf("%s", made.config)
	}
}

func TestWithoutARangeOfItsOwnANodeGetsNoConfiguration(t *testing.T) {
	made, err := planFor("a", []*corev1.Node{node("a", "", "172.18.0.2")})
	if err != nil || made.config != nil {
		t.Errorf("%s, %v", made.config, err)
	}
}

func TestOtherFamiliesAreRefusedByName(t *testing.T) {
	if _, err := planFor("a", []*corev1.Node{node("six", "fd00::/64")}); err == nil || err.Error() != `node six has the pod range "fd00::/64": only IPv4 is supported` {
		t.Errorf("%v", err)
	}
}

func TestRoutesAreReadAsIpPrintsThem(t *testing.T) {
	found, err := parseRoutes([]byte(`[{"dst":"10.244.1.0/24","gateway":"172.18.0.3","dev":"eth0","flags":[]},{"dst":"10.9.9.9","gateway":"172.18.0.4","flags":[]}]`))
	if want := map[string]string{"10.244.1.0/24": "172.18.0.3", "10.9.9.9/32": "172.18.0.4"}; err != nil || !reflect.DeepEqual(found, want) {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := parseRoutes([]byte("\n")); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}
