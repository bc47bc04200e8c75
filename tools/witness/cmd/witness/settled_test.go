package main

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// One endpoint answers at once, the other only when it is let: its listener takes connections, and says nothing.
func TestCallsBeginWhenEveryConnectionIsMade(t *testing.T) {
	listen := func() net.Listener {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return listener
	}
	quick, slow := listen(), listen()
	server := grpc.NewServer()
	defer server.Stop()
	go func() { _ = server.Serve(quick) }()

	endpoints := manual.NewBuilderWithScheme("settled")
	endpoints.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: quick.Addr().String()}, {Addr: slow.Addr().String()}}})
	conn, err := grpc.NewClient("settled:///both", grpc.WithResolvers(endpoints), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := &channel{conn: conn}
	c.connect(ctx)
	if !connecting(ctx, conn.Target()) {
		t.Fatal("the second connection is not made yet, and it is not noticed")
	}
	done := make(chan struct{})
	go func() { c.settle(ctx); close(done) }()
	select {
	case <-done:
		t.Fatal("settled although one endpoint has not answered")
	case <-time.After(200 * time.Millisecond):
	}
	go func() { _ = server.Serve(slow) }()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("not settled although both have answered")
	}
	if connecting(ctx, conn.Target()) || ctx.Err() != nil {
		t.Fatal("still connecting")
	}
}
