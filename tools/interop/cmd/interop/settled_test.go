package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	health_v1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// endpoints are two servers that count their calls, and a channel to both. The second's listener
// accepts connections, and is silent until released.
type endpoints struct {
	conn   *grpc.ClientConn
	counts [2]atomic.Int64
	let    func()
}

func twoEndpoints(t *testing.T) *endpoints {
	t.Helper()
	all := &endpoints{}
	var listeners [2]net.Listener
	var servers [2]*grpc.Server
	for at := range listeners {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[at] = listener
		counted := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			all.counts[at].Add(1)
			return handler(ctx, request)
		}
		servers[at] = grpc.NewServer(grpc.UnaryInterceptor(counted))
		health_v1.RegisterHealthServer(servers[at], health.NewServer())
		t.Cleanup(servers[at].Stop)
	}
	serve := func(at int) { go func() { _ = servers[at].Serve(listeners[at]) }() }
	serve(0)
	all.let = func() { serve(1) }

	names := manual.NewBuilderWithScheme("settled")
	names.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: listeners[0].Addr().String()}, {Addr: listeners[1].Addr().String()}}})
	conn, err := grpc.NewClient("settled:///"+t.Name(), grpc.WithResolvers(names), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	all.conn = conn
	return all
}

func TestAChannelIsSettledWhenEveryConnectionIsMade(t *testing.T) {
	all := twoEndpoints(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := &channel{conn: all.conn}
	c.connect(ctx)
	if !connecting(ctx, all.conn.Target()) {
		t.Fatal("the second connection is still being made, but connecting reports none")
	}
	done := make(chan struct{})
	go func() { c.settle(ctx); close(done) }()
	select {
	case <-done:
		t.Fatal("settled although one endpoint has not answered")
	case <-time.After(200 * time.Millisecond):
	}
	all.let()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("not settled although both have answered")
	}
	if connecting(ctx, all.conn.Target()) || ctx.Err() != nil {
		t.Fatal("still connecting")
	}
}

func TestAClosedLoopsCallsGoToBothEndpointsFromTheSecondOn(t *testing.T) {
	all := twoEndpoints(t)
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	check := health_v1.File_grpc_health_v1_health_proto.Services().Get(0).Methods().ByName("Check")
	plan := &callPlan{ID: "t", Patience: 20_000, Load: load{Times: 41, Connections: 1, Streams: 4}}
	one := &client{plan: plan, started: time.Now(), out: &lines{encoder: json.NewEncoder(io.Discard), flush: func() error { return nil }, stop: stop}}
	one.maker = &channel{conn: all.conn, plan: plan, method: check, messages: [][]byte{{}}}
	time.AfterFunc(300*time.Millisecond, all.let)
	one.drive(ctx)
	// The first call, and half of the others.
	if first, second := all.counts[0].Load(), all.counts[1].Load(); first+second != 41 || second < 19 {
		t.Fatalf("%d calls went to the endpoint that was reached first, %d to the other", first, second)
	}
}
