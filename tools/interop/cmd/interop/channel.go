package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Largest message that is accepted, and largest number of messages in one response.
const (
	maxMessage  = 256 << 20
	maxMessages = 1_000_000
)

// channel makes calls with grpc-go.
type channel struct {
	conn     *grpc.ClientConn
	plan     *callPlan
	method   protoreflect.MethodDescriptor
	messages [][]byte
}

// opener checks the plan once and returns a function that opens its clients.
func (c *caller) opener(plan *callPlan) (func() (maker, error), error) {
	if c.options.grpcurl != "" {
		return func() (maker, error) { return grpcurl{program: c.options.grpcurl, plan: plan}, nil }, nil
	}
	method, err := method(c.files, plan.Method)
	if err != nil {
		return nil, err
	}
	messages, err := encode(method, plan.Messages)
	if err != nil {
		return nil, err
	}
	target, options, err := c.dialing(plan)
	if err != nil {
		return nil, err
	}
	return func() (maker, error) {
		conn, err := grpc.NewClient(target, options...)
		if err != nil {
			return nil, err
		}
		return &channel{conn: conn, plan: plan, method: method, messages: messages}, nil
	}, nil
}

// connect returns when the channel is ready, or has failed to connect for now.
func (c *channel) connect(ctx context.Context) {
	c.conn.Connect()
	for {
		state := c.conn.GetState()
		if state != connectivity.Idle && state != connectivity.Connecting || !c.conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// dialing returns target and options: those of the plan, and the settings of this caller.
func (c *caller) dialing(plan *callPlan) (string, []grpc.DialOption, error) {
	target := plan.Address
	creds, err := clientTLS(plan.TLS)
	if err != nil {
		return "", nil, err
	}
	if strings.HasPrefix(target, "xds:") {
		if creds, err = xds.NewClientCredentials(xds.ClientOptions{FallbackCreds: creds}); err != nil {
			return "", nil, err
		}
	} else if !strings.Contains(target, "://") {
		target = "dns:///" + target
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithStatsHandler(watcher{}),
		grpc.WithUserAgent("meshproof-interop"),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(maxMessage)),
	}
	if strings.HasPrefix(target, "dns:") {
		// No TXT lookup for a service config: it leaves the cluster, and takes four seconds where no
		// name server answers.
		options = append(options, grpc.WithDisableServiceConfig())
	}
	if plan.Authority != nil {
		options = append(options, grpc.WithAuthority(*plan.Authority))
	}
	if c.options.service != "" {
		options = append(options, grpc.WithDefaultServiceConfig(c.options.service))
	}
	if c.options.keepalive > 0 {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: c.options.keepalive, Timeout: 5 * time.Second, PermitWithoutStream: true}))
	}
	if c.options.window > 0 {
		options = append(options, grpc.WithInitialWindowSize(int32(c.options.window)), grpc.WithInitialConnWindowSize(int32(c.options.window)))
	}
	return target, options, nil
}

func clientTLS(plan *tlsPlan) (credentials.TransportCredentials, error) {
	if plan == nil {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{InsecureSkipVerify: plan.RootsPEM == "", NextProtos: plan.ALPN}
	if plan.SNI != nil {
		config.ServerName = *plan.SNI
	}
	if plan.RootsPEM != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(plan.RootsPEM)) {
			return nil, errors.New("roots_pem contains no certificate")
		}
	}
	if plan.ClientPEM != nil {
		pair, err := tls.X509KeyPair([]byte(*plan.ClientPEM), []byte(*plan.ClientPEM))
		if err != nil {
			return nil, fmt.Errorf("client_pem: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

func (c *channel) close() { _ = c.conn.Close() }

// make makes one call of any kind: it sends all messages, then receives everything.
func (c *channel) make(ctx context.Context, one single) observation {
	seen := &rpc{started: one.started}
	ctx, cancel := c.limited(context.WithValue(ctx, rpcKey{}, seen), seen, one.limit)
	defer cancel()
	pairs := []string{callHeader, one.id}
	if isGiven(c.plan.Script) {
		pairs = append(pairs, scriptHeader, ascii(c.plan.Script))
	}
	for _, pair := range append(append([]pair(nil), one.metadata...), one.own...) {
		pairs = append(pairs, pair[0], read(pair[0], pair[1]))
	}
	ctx = metadata.AppendToOutgoingContext(ctx, pairs...)
	result := unseen()
	result.SentUs = micros(one.started)
	var from peer.Peer
	err := c.exchange(ctx, &result, one.started, &from)
	result.TLS = seenTLS(from.AuthInfo)
	seen.fill(&result, err)
	return result
}

// limited sets the deadline, which is sent as grpc-timeout, or the caller's patience, which is
// not sent.
func (c *channel) limited(ctx context.Context, seen *rpc, limit time.Duration) (context.Context, context.CancelFunc) {
	if c.plan.Deadline != nil {
		return context.WithTimeout(ctx, limit)
	}
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(limit, func() {
		seen.patience.Store(true)
		cancel()
	})
	return ctx, func() { timer.Stop(); cancel() }
}

func (c *channel) exchange(ctx context.Context, result *observation, started time.Time, from *peer.Peer) error {
	name := "/" + string(c.method.Parent().FullName()) + "/" + string(c.method.Name())
	kind := &grpc.StreamDesc{StreamName: string(c.method.Name()), ClientStreams: true, ServerStreams: true}
	stream, err := c.conn.NewStream(ctx, kind, name, grpc.Peer(from))
	if err != nil {
		return err
	}
	for _, message := range c.messages {
		if err := stream.SendMsg(message); err != nil {
			break // the response came early; its status says why
		}
	}
	_ = stream.CloseSend()
	for {
		var message []byte
		if err := stream.RecvMsg(&message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(result.Messages) == maxMessages {
			return fmt.Errorf("more than %d response messages arrived, the caller's limit", maxMessages)
		}
		result.Messages = append(result.Messages, [2]uint64{micros(started), uint64(len(message))})
		if len(result.Replies) < 3 {
			result.Replies = append(result.Replies, decode(c.method, message))
		}
	}
}

func seenTLS(auth credentials.AuthInfo) *tlsSeen {
	with, ok := auth.(credentials.TLSInfo)
	if !ok {
		return nil
	}
	seen := &tlsSeen{Version: strings.TrimPrefix(tls.VersionName(with.State.Version), "TLS "), Names: []string{}}
	if chosen := with.State.NegotiatedProtocol; chosen != "" {
		seen.ALPN = &chosen
	}
	if len(with.State.PeerCertificates) > 0 {
		leaf := with.State.PeerCertificates[0]
		for _, uri := range leaf.URIs {
			seen.Names = append(seen.Names, uri.String())
		}
		seen.Names = append(seen.Names, leaf.DNSNames...)
		seen.Serial = leaf.SerialNumber.Text(16)
	}
	return seen
}
