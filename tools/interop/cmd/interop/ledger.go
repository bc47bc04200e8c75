package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	grpcstatus "google.golang.org/grpc/status"
)

// Limits of the ledger: attempts, and bytes of their texts.
const (
	maxAttempts = 200_000
	maxBytes    = 64 << 20
)

// ledger records every attempt that reached this server, in order of arrival. Beyond its limits,
// attempts are only counted.
type ledger struct {
	who     info
	mutex   sync.Mutex
	entries []*attempt
	counts  map[string]uint32
	peers   map[string]uint64
	bytes   int
	// leftOut counts attempts that did not fit.
	leftOut uint64
}

// open is the entry of an attempt that is running.
type open struct {
	ledger  *ledger
	entry   *attempt
	started time.Time
}

func (l *ledger) begin(ctx context.Context, port uint16) open {
	md, _ := metadata.FromIncomingContext(ctx)
	now := time.Now()
	entry := &attempt{
		Call: first(md, callHeader), Pod: l.who.Pod, Namespace: l.who.Namespace, UID: l.who.UID, Workload: l.who.Workload, Authority: first(md, ":authority"), Port: port,
		Protocol: "HTTP/2.0", AtUs: uint64(now.UnixMicro()), End: "running", Metadata: kept(md),
	}
	if name, ok := grpc.Method(ctx); ok {
		entry.Method = strings.TrimPrefix(name, "/")
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := uint64(time.Until(deadline).Milliseconds())
		entry.TimeoutMs = &left
	}
	if from, ok := peer.FromContext(ctx); ok {
		entry.Peer = from.Addr.String()
		entry.Metadata = append(entry.Metadata, identity(from.AuthInfo)...)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.counts == nil {
		l.counts, l.peers = map[string]uint32{}, map[string]uint64{}
	}
	l.counts[entry.Call]++
	entry.Attempt = l.counts[entry.Call]
	if _, known := l.peers[entry.Peer]; !known {
		l.peers[entry.Peer] = uint64(len(l.peers))
	}
	entry.Connection = l.peers[entry.Peer]
	size := len(entry.Call) + len(entry.Method) + len(entry.Authority)
	for _, pair := range entry.Metadata {
		size += len(pair[0]) + len(pair[1])
	}
	if len(l.entries) < maxAttempts && l.bytes+size <= maxBytes {
		l.bytes += size
		l.entries = append(l.entries, entry)
	} else {
		l.leftOut++
	}
	return open{ledger: l, entry: entry, started: now}
}

// of copies the attempts whose call id begins with prefix. It returns an error when attempts are
// missing.
func (l *ledger) of(prefix string) ([]attempt, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.leftOut > 0 {
		return nil, fmt.Errorf("%d attempts were dropped because this server's ledger is full", l.leftOut)
	}
	found := []attempt{}
	for _, entry := range l.entries {
		if strings.HasPrefix(entry.Call, prefix) {
			found = append(found, *entry)
		}
	}
	return found, nil
}

func (o open) read(received uint32) {
	o.ledger.mutex.Lock()
	defer o.ledger.mutex.Unlock()
	o.entry.Received = received
}

// finish closes the entry: the response is complete.
func (o open) finish(err error) {
	code := uint32(grpcstatus.Code(err))
	o.ledger.mutex.Lock()
	defer o.ledger.mutex.Unlock()
	o.entry.End, o.entry.Status = "answered", &code
}

func (o open) close() {
	took := micros(o.started)
	o.ledger.mutex.Lock()
	defer o.ledger.mutex.Unlock()
	if o.entry.TookUs = &took; o.entry.End == "running" {
		o.entry.End = "cancelled"
	}
}

func first(md metadata.MD, key string) string {
	if values := md.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// kept returns all metadata except what the ledger has in fields of its own.
func kept(md metadata.MD) []pair {
	own := []string{scriptHeader, callHeader, ":authority", "content-type", "te", "grpc-timeout"}
	return slices.DeleteFunc(pairs(md), func(p pair) bool { return slices.Contains(own, p[0]) })
}

// identity returns the name that the client proved with its certificate; nothing for a connection
// without TLS.
func identity(auth credentials.AuthInfo) []pair {
	with, ok := auth.(credentials.TLSInfo)
	if !ok || len(with.State.PeerCertificates) == 0 || len(with.State.PeerCertificates[0].URIs) == 0 {
		return nil
	}
	name := with.State.PeerCertificates[0].URIs[0]
	found := []pair{{identityKey, name.String()}}
	if _, account, ok := strings.Cut(name.Path, "/sa/"); ok {
		found = append(found, pair{accountKey, account})
	}
	return found
}
