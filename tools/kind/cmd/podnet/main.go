// Command podnet is the pod network of a kind cluster. On every node, one copy writes the node's
// CNI configuration (a point-to-point link for each pod, addresses from the node's own range) and
// maintains a route to the range of every other node.
//
// It watches the Node objects, which have all the data that it needs. Any failure ends it with a
// message; the kubelet restarts it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("podnet: ")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("NODE_NAME"), os.Getenv("POD_SUBNET"), os.Getenv("CONTROL_PLANE_ENDPOINT")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, self, subnet, endpoint string) error {
	if self == "" {
		return errors.New("NODE_NAME is not set")
	}
	pods, err := netip.ParsePrefix(subnet)
	if err != nil || !pods.Addr().Is4() {
		return fmt.Errorf("POD_SUBNET is %q, but must be one IPv4 range (networking.ipFamily: ipv4)", subnet)
	}
	if err := masquerade(ctx, pods); err != nil {
		return err
	}
	nodes, changed, err := watch(ctx, endpoint)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		wanted, err := planFor(self, nodes())
		if err != nil {
			return err
		}
		if err := wanted.apply(ctx); err != nil {
			return err
		}
	}
}

// watch follows the Node objects. The channel receives a value whenever the list may have changed
// since it was last read.
func watch(ctx context.Context, endpoint string) (func() []*corev1.Node, <-chan struct{}, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, nil, err
	}
	if endpoint != "" { // the API server's Service address works only once kube-proxy does
		config.Host = "https://" + endpoint
	}
	client, err := typed.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	changed := make(chan struct{}, 1)
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(client.RESTClient(), "nodes", "", fields.Everything()),
		ObjectType:    &corev1.Node{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { tell() },
			UpdateFunc: func(any, any) { tell() },
			DeleteFunc: func(any) { tell() },
		},
	})
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, nil, errors.New("stopped before the nodes were listed")
	}
	tell()
	list := func() []*corev1.Node {
		var nodes []*corev1.Node
		for _, object := range store.List() {
			nodes = append(nodes, object.(*corev1.Node))
		}
		return nodes
	}
	return list, changed, nil
}
