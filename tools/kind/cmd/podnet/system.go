package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	// configPath is read by containerd, which uses the first file of the directory by name.
	configPath = "/etc/cni/net.d/10-podnet.conflist"
	// protocol marks our routes, so that routes to removed nodes can be identified.
	protocol = "199"
)

// apply brings the node to the desired state. Routes come first: the file is what makes the node
// Ready.
func (wanted plan) apply(ctx context.Context) error {
	had, err := routes(ctx)
	if err != nil {
		return err
	}
	for pods, via := range wanted.routes {
		if had[pods] == via {
			continue
		}
		if err := do(ctx, "", "ip", "-4", "route", "replace", pods, "via", via, "proto", protocol); err != nil {
			return err
		}
		log.Printf("added the route to %s via %s", pods, via)
	}
	for pods := range had {
		if wanted.routes[pods] != "" {
			continue
		}
		if err := do(ctx, "", "ip", "-4", "route", "delete", pods, "proto", protocol); err != nil {
			return err
		}
		log.Printf("removed the route to %s", pods)
	}
	if wanted.config == nil {
		return nil
	}
	if now, err := os.ReadFile(configPath); err == nil && bytes.Equal(now, wanted.config) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(configPath), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(configPath+".new", wanted.config, 0o644); err != nil {
		return err
	}
	log.Printf("wrote %s", configPath)
	return os.Rename(configPath+".new", configPath)
}

// routes returns our routes: the range, and the address of its next hop.
func routes(ctx context.Context) (map[string]string, error) {
	said, err := output(ctx, "", "ip", "-json", "-4", "route", "show", "proto", protocol)
	if err != nil {
		return nil, err
	}
	return parseRoutes(said)
}

func parseRoutes(said []byte) (map[string]string, error) {
	var listed []struct{ Dst, Gateway string }
	if err := json.Unmarshal(said, &listed); err != nil && len(bytes.TrimSpace(said)) > 0 {
		return nil, fmt.Errorf("unexpected output of ip route show, %q: %w", said, err)
	}
	found := map[string]string{}
	for _, route := range listed {
		if !strings.Contains(route.Dst, "/") { // a range of one address
			route.Dst += "/32"
		}
		found[route.Dst] = route.Gateway
	}
	return found, nil
}

// masquerade hides the pods' addresses from everything outside the cluster; traffic between pods
// keeps them.
func masquerade(ctx context.Context, pods netip.Prefix) error {
	rules := fmt.Sprintf(`table ip podnet
delete table ip podnet
table ip podnet {
	chain leaving {
		type nat hook postrouting priority 100; policy accept;
		ip saddr %[1]s ip daddr != %[1]s masquerade
	}
}
`, pods.Masked())
	return do(ctx, rules, "nft", "--file", "-")
}

func do(ctx context.Context, input, name string, arguments ...string) error {
	_, err := output(ctx, input, name, arguments...)
	return err
}

func output(ctx context.Context, input, name string, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, name, arguments...)
	var said, complaint bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &said, &complaint
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, strings.TrimSpace(complaint.String()))
	}
	return said.Bytes(), nil
}
