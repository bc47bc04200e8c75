package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A lease that is not renewed ends.
func TestALeaseEndsWithoutSigns(t *testing.T) {
	ended := make(chan time.Duration, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx, _, err := lease(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		<-ctx.Done()
		ended <- time.Since(began)
	}))
	defer server.Close()
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, _ = io.WriteString(connection, "POST /v1/run?lease_ms=200 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{}\n\r\n")
	select {
	case after := <-ended:
		if after < 150*time.Millisecond {
			t.Fatalf("after %v", after)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the lease did not end")
	}
}
