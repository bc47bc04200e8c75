// Command witness is a second opinion: a caller and a server that speak the test bed's control protocol, but whose gRPC is
// grpc-go's (with its own xDS client and server), or whose calls are made by the grpcurl program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc/xds/csds"
)

// options are the flags of both roles; the environment gives what differs between pods.
type options struct {
	control   string
	protoset  string
	port      int
	xds       bool
	grpcurl   string
	service   string
	keepalive time.Duration
	window    int
}

// started is when this process began, by which it is told from one that took its place.
var started = time.Now()

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err := run(os.Args[1:]); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || (args[0] != "caller" && args[0] != "server") {
		return errors.New("say what to be: witness caller|server [flags]")
	}
	role := args[0]
	var o options
	flags := flag.NewFlagSet("witness "+role, flag.ContinueOnError)
	flags.StringVar(&o.control, "control", "0.0.0.0:15999", "address of the control service")
	flags.StringVar(&o.protoset, "protoset", "/proto/mypackage.binpb", "descriptor set of the services")
	flags.IntVar(&o.port, "port", 50051, "port of the gRPC server")
	flags.BoolVar(&o.xds, "xds", false, "serve as the mesh's control plane says (xds.NewGRPCServer)")
	flags.StringVar(&o.grpcurl, "grpcurl", "", "make each call with this grpcurl program")
	flags.StringVar(&o.service, "service-config", os.Getenv("SERVICE_CONFIG"), "the channel's default service config, as JSON")
	flags.DurationVar(&o.keepalive, "keepalive", environment("KEEPALIVE"), "send a PING when the connection was quiet for so long (at least 10s)")
	flags.IntVar(&o.window, "window", 0, "initial flow-control window of streams and connections, in bytes")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	who := info{Role: role, Pod: pod(), Workload: os.Getenv("WORKLOAD"), Version: os.Getenv("VERSION")}
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
	return control(ctx, o.control, mux)
}

// control serves the control port until the process is told to end.
func control(ctx context.Context, address string, mux *http.ServeMux) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("control port: %w", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	slog.Info("listening", "control", listener.Addr().String())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
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

// environment reads a duration; what cannot be read counts as unset.
func environment(name string) time.Duration {
	value, _ := time.ParseDuration(os.Getenv(name))
	return value
}
