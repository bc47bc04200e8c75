// Command interop is a second implementation: a caller and a server that speak the test bed's
// control protocol, but whose gRPC is grpc-go's (with its own xDS client and server), or whose
// calls are made by the grpcurl program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/xds/csds"
)

// options are the flags of both roles; the environment supplies what differs between pods.
type options struct {
	control   string
	ready     string
	protoset  string
	port      int
	xds       bool
	grpcurl   string
	service   string
	keepalive time.Duration
	window    int
}

// started is when this process began, which distinguishes it from a restarted one.
var started = time.Now()

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	bound()
	if err := run(os.Args[1:]); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || (args[0] != "caller" && args[0] != "server") {
		return errors.New("usage: interop caller|server [flags]")
	}
	role := args[0]
	var o options
	flags := flag.NewFlagSet("interop "+role, flag.ContinueOnError)
	flags.StringVar(&o.control, "control", "127.0.0.1:15999", "address of the control service")
	flags.StringVar(&o.ready, "ready", "0.0.0.0:15998", "address that answers readiness probes and serves nothing else")
	flags.StringVar(&o.protoset, "protoset", "/proto/mypackage.binpb", "descriptor set of the services")
	flags.IntVar(&o.port, "port", 50051, "port of the gRPC server")
	flags.BoolVar(&o.xds, "xds", false, "serve with the configuration of the mesh's control plane (xds.NewGRPCServer)")
	flags.StringVar(&o.grpcurl, "grpcurl", "", "make each call with this grpcurl program")
	flags.StringVar(&o.service, "service-config", os.Getenv("SERVICE_CONFIG"), "the channel's default service config, as JSON")
	flags.DurationVar(&o.keepalive, "keepalive", environment("KEEPALIVE"), "send a PING after the connection has been idle for this long (at least 10s)")
	flags.IntVar(&o.window, "window", 0, "initial flow-control window of streams and connections, in bytes")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	who := info{Role: role, Pod: pod(), Namespace: os.Getenv("POD_NAMESPACE"), UID: os.Getenv("POD_UID"),
		Workload: os.Getenv("WORKLOAD"), Version: os.Getenv("VERSION")}
	mux := http.NewServeMux()
	status, err := csds.NewClientStatusDiscoveryServer()
	if err != nil {
		return fmt.Errorf("CSDS: %w", err)
	}
	mux.HandleFunc("GET /v1/xds", func(w http.ResponseWriter, r *http.Request) { xdsState(w, r, status) })
	mux.HandleFunc("GET /v1/alive", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]int64{"up_ms": time.Since(started).Milliseconds()})
	})
	mux.HandleFunc("GET /v1/cpu", func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]int64{"cpu_us": cpu()}) })
	switch role {
	case "server":
		err = serve(ctx, o, who, mux)
	case "caller":
		err = call(o, who, mux)
	}
	if err != nil {
		return err
	}
	ready := func(w http.ResponseWriter, r *http.Request) {
		info, _ := mux.Handler(&http.Request{Method: http.MethodGet, Host: r.Host, URL: &url.URL{Path: "/v1/info"}})
		info.ServeHTTP(w, r)
	}
	probes := make(chan error, 1)
	go func() {
		err := listen(ctx, o.ready, http.HandlerFunc(ready))
		if err != nil {
			slog.Error("cannot serve readiness probes", "error", err)
		}
		probes <- err
	}()
	if err := listen(ctx, o.control, local(mux)); err != nil {
		return fmt.Errorf("control port: %w", err)
	}
	return <-probes
}

// listen serves until the process receives a signal to end.
func listen(ctx context.Context, address string, handler http.Handler) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	slog.Info("listening", "address", listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// local admits only clients that reach the pod's loopback intentionally. A web page can make its
// browser send requests there too, but these carry the page's origin or a host that is not the
// loopback.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		known := slices.Contains([]string{"", "localhost", "127.0.0.1", "::1"}, strings.ToLower(host))
		if !known || r.Header.Get("origin") != "" || r.Header.Get("sec-fetch-site") != "" {
			http.Error(w, "use port-forward to reach a control port; web pages may not use it", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// mostMemory is the memory limit of this process in bytes: a defect in it must not exhaust the
// machine's memory.
const mostMemory = 2 << 30

func bound() {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		slog.Warn("cannot limit memory", "error", err)
		return
	}
	limit.Cur = min(limit.Cur, mostMemory)
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		slog.Warn("cannot limit memory", "error", err)
	}
}

// cpu is the processor time of this process so far, in microseconds.
func cpu() int64 {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return (used.Utime.Sec+used.Stime.Sec)*1_000_000 + used.Utime.Usec + used.Stime.Usec
}

func pod() string {
	if name := os.Getenv("POD_NAME"); name != "" {
		return name
	}
	name, _ := os.Hostname()
	return name
}

// environment reads a duration; an invalid one counts as unset.
func environment(name string) time.Duration {
	value, _ := time.ParseDuration(os.Getenv(name))
	return value
}
