package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	xdscreds "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/xds"
)

// grpcServer is the common interface of grpc's and xDS's servers.
type grpcServer interface {
	grpc.ServiceRegistrar
	Serve(net.Listener) error
	Stop()
}

// server answers every method with a message that has only the stamp.
type server struct {
	who    info
	port   uint16
	ledger ledger
	// serving is false while the xDS server waits for its listener, or has none after a rejected
	// one.
	serving atomic.Bool
	// why is the last serving mode that the xDS server reported, with its reason.
	why atomic.Value
}

func serve(ctx context.Context, o options, who info, mux *http.ServeMux) error {
	s := &server{who: who, ledger: ledger{who: who}}
	s.why.Store("the listener has not arrived yet")
	made, err := s.make(o.xds)
	if err != nil {
		return err
	}
	healthpb.RegisterHealthServer(made, health.NewServer())
	listener, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", o.port))
	if err != nil {
		return fmt.Errorf("gRPC port: %w", err)
	}
	slog.Info("serving", "address", listener.Addr().String())
	s.port = uint16(listener.Addr().(*net.TCPAddr).Port)
	mux.HandleFunc("GET /v1/info", s.info)
	mux.HandleFunc("GET /v1/ledger", s.attempts)
	go func() {
		<-ctx.Done()
		made.Stop()
	}()
	go func() {
		if err := made.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			slog.Error("the gRPC server failed", "error", err)
		}
	}()
	return nil
}

func (s *server) make(withXDS bool) (grpcServer, error) {
	options := []grpc.ServerOption{
		grpc.ForceServerCodec(serverCodec{}), grpc.UnknownServiceHandler(s.handle), grpc.MaxRecvMsgSize(maxMessage),
	}
	if !withXDS {
		s.serving.Store(true)
		return grpc.NewServer(options...), nil
	}
	creds, err := xdscreds.NewServerCredentials(xdscreds.ServerOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		return nil, err
	}
	mode := xds.ServingModeCallback(func(at net.Addr, args xds.ServingModeChangeArgs) {
		s.serving.Store(args.Mode == connectivity.ServingModeServing)
		if args.Err != nil {
			s.why.Store(args.Err.Error())
		}
		slog.Info("serving mode", "address", at.String(), "mode", args.Mode.String(), "error", args.Err)
	})
	return xds.NewGRPCServer(append(options, grpc.Creds(creds), mode)...)
}

// info also serves as readiness probe: not ready before the control plane has sent the listener.
func (s *server) info(w http.ResponseWriter, _ *http.Request) {
	if !s.serving.Load() {
		http.Error(w, s.why.Load().(string), http.StatusServiceUnavailable)
		return
	}
	answer(w, s.who)
}

func (s *server) attempts(w http.ResponseWriter, r *http.Request) {
	encoder := json.NewEncoder(w)
	attempts, err := s.ledger.of(r.URL.Query().Get("prefix"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInsufficientStorage)
		return
	}
	for _, attempt := range attempts {
		_ = encoder.Encode(attempt)
	}
}

// handle serves any call: it reads all requests, and answers as scripted.
func (s *server) handle(_ any, stream grpc.ServerStream) error {
	entry := s.ledger.begin(stream.Context(), s.port)
	defer entry.close()
	var received uint32
	for {
		var message []byte
		err := stream.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		received++
	}
	entry.read(received)
	err := s.answer(stream, entry)
	if stream.Context().Err() == nil {
		entry.finish(err)
	}
	return err
}
