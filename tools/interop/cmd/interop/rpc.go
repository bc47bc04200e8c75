package main

import (
	"context"
	"encoding/base64"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	grpcstatus "google.golang.org/grpc/status"
)

type rpcKey struct{}

// rpc collects grpc-go's statistics of one call; the last attempt counts, as it does for the
// status.
type rpc struct {
	mutex    sync.Mutex
	started  time.Time
	headers  metadata.MD
	trailers metadata.MD
	answered *uint64
	ended    bool
	patience atomic.Bool
}

// watcher assigns grpc-go's statistics to the call that they belong to.
type watcher struct{}

func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (watcher) HandleConn(context.Context, stats.ConnStats)                       {}
func (watcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	seen, ok := ctx.Value(rpcKey{}).(*rpc)
	if !ok {
		return
	}
	seen.mutex.Lock()
	defer seen.mutex.Unlock()
	switch event := event.(type) {
	case *stats.Begin:
		seen.headers, seen.trailers, seen.answered, seen.ended = nil, nil, nil, false
	case *stats.InHeader:
		at := micros(seen.started)
		seen.headers, seen.answered = event.Header, &at
	case *stats.InTrailer:
		if seen.answered == nil {
			at := micros(seen.started)
			seen.answered = &at
		}
		seen.trailers, seen.ended = event.Trailer, true
	}
}

var (
	resetWords = regexp.MustCompile(`^stream terminated by RST_STREAM with error code: ([A-Z_]+)`)
	httpWords  = regexp.MustCompile(`unexpected HTTP status code received from server: (\d+)`)
)

// fill completes an observation. When the end of the response was seen on the wire, the status is
// the peer's; otherwise grpc-go generated it.
func (r *rpc) fill(o *observation, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	said := grpcstatus.Convert(err)
	o.Headers, o.Trailers, o.HeadersUs = pairs(r.headers), pairs(r.trailers), r.answered
	if o.TrailersOnly = r.ended && r.headers == nil; o.TrailersOnly {
		o.Headers, o.Trailers = o.Trailers, o.Headers
	}
	o.Status = status{Code: uint32(said.Code()), Message: said.Message()}
	words := resetWords.FindStringSubmatch(said.Message())
	switch {
	case r.ended || err == nil:
		o.Status.Origin = "wire"
		o.HTTPStatus = httpStatus(said.Message())
		if *o.HTTPStatus != 200 {
			o.Status.Origin = "http"
		}
	case words != nil:
		o.Status.Origin, o.Reset = "reset", &reset{Code: words[1], Remote: true}
	case r.patience.Load():
		o.Status.Origin = "client-patience"
	case said.Code() == codes.DeadlineExceeded:
		o.Status.Origin = "client-deadline"
	default:
		text := said.Message()
		o.Status.Origin, o.TransportError = "transport", &text
	}
}

func httpStatus(message string) *uint16 {
	status := uint16(200)
	if found := httpWords.FindStringSubmatch(message); found != nil {
		number, _ := strconv.ParseUint(found[1], 10, 16)
		status = uint16(number)
	}
	return &status
}

// written converts a value to the form that it has on the wire and in the control protocol:
// grpc-go decodes the bytes of `-bin` keys.
func written(key, value string) string {
	if strings.HasSuffix(strings.ToLower(key), "-bin") {
		return base64.StdEncoding.EncodeToString([]byte(value))
	}
	return value
}

// read converts a value to the form that grpc-go expects: the bytes of `-bin` keys, which it
// encodes itself.
func read(key, value string) string {
	if !strings.HasSuffix(strings.ToLower(key), "-bin") {
		return value
	}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(value, "="))
	if err != nil {
		return value
	}
	return string(decoded)
}

// pairs flattens metadata, ordered by key.
func pairs(md metadata.MD) []pair {
	all := []pair{}
	for key, values := range md {
		for _, value := range values {
			all = append(all, pair{strings.ToLower(key), written(key, value)})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i][0] < all[j][0] })
	return all
}
