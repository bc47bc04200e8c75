package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"google.golang.org/protobuf/reflect/protoregistry"
)

// caller executes plans; its maker makes the calls.
type caller struct {
	options options
	files   *protoregistry.Files
}

// maker makes calls over one client; it is closed after the last of them.
type maker interface {
	make(ctx context.Context, one single) observation
	close()
}

// single is one call to make.
type single struct {
	id       string
	index    uint64
	own      []pair
	metadata []pair
	started  time.Time
	limit    time.Duration
}

func call(o options, who info, mux *http.ServeMux) error {
	files, err := services(o.protoset)
	if err != nil {
		return err
	}
	c := &caller{options: o, files: files}
	mux.HandleFunc("GET /v1/info", func(w http.ResponseWriter, _ *http.Request) { answer(w, who) })
	mux.HandleFunc("GET /v1/reach", reach)
	mux.HandleFunc("POST /v1/run", c.run)
	return nil
}

func answer(w http.ResponseWriter, document any) {
	w.Header().Set("content-type", "application/json")
	_ = json.NewEncoder(w).Encode(document)
}

// run answers with one line per call as it ends. When the requester disconnects, the calls in
// flight are cancelled.
func (c *caller) run(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("content-type", "application/x-ndjson")
	ctx, text, err := lease(w, r)
	if err != nil {
		http.Error(w, "plan: "+err.Error(), http.StatusBadRequest)
		return
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// The headers tell the requester that the run has begun, before its first call has ended.
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	out := &lines{encoder: json.NewEncoder(w), flush: http.NewResponseController(w).Flush, stop: stop}
	plan := callPlan{Patience: 30_000, Load: load{Times: 1, Connections: 1, Streams: 1}}
	if err := readStrictly(text, &plan); err != nil {
		out.write(refusal(fmt.Errorf("plan: %w", err)))
		return
	}
	started := time.Now()
	made, err := c.drive(ctx, &plan, started, out)
	if err != nil {
		out.write(refusal(err))
		return
	}
	if ctx.Err() != nil {
		out.write(map[string]string{"line": "stopped", "reason": context.Cause(ctx).Error()})
		return
	}
	out.write(map[string]any{"line": "done", "calls": made, "elapsed_us": micros(started)})
}

func refusal(err error) map[string]string {
	return map[string]string{"line": "refused", "reason": err.Error()}
}

// lines writes complete lines, one at a time.
type lines struct {
	mutex   sync.Mutex
	encoder *json.Encoder
	flush   func() error
	// stop ends the run when its reader has disconnected.
	stop context.CancelCauseFunc
}

func (l *lines) write(line any) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err := errors.Join(l.encoder.Encode(line), l.flush()); err != nil {
		l.stop(errGone)
	}
}

func micros(since time.Time) uint64 { return uint64(time.Since(since).Microseconds()) }

// drive distributes the plan's calls over its clients, each with `streams` of them in flight, and
// counts them.
func (c *caller) drive(ctx context.Context, plan *callPlan, started time.Time, out *lines) (uint64, error) {
	if plan.Summary || plan.Load.ForMs != nil {
		return 0, fmt.Errorf("this caller reports single calls; only the test bed's own caller supports summaries and timed runs")
	}
	if form := string(plan.Form); form != "" && form != `"grpc"` {
		return 0, fmt.Errorf("this caller supports only gRPC over HTTP/2, not %s", form)
	}
	if isGiven(plan.Stream) || plan.Pad != nil {
		return 0, fmt.Errorf("this caller sends the plan's own messages and metadata; only the test bed's own caller supports numbered streams and padding")
	}
	if isGiven(plan.Script) {
		if err := readStrictly(plan.Script, &script{}); err != nil {
			return 0, fmt.Errorf("script: %w", err)
		}
	}
	if err := plan.bounded(); err != nil {
		return 0, err
	}
	open, err := c.opener(plan)
	if err != nil {
		return 0, err
	}
	clients := make([]*client, plan.Load.Connections)
	for number := range clients {
		clients[number] = &client{plan: plan, number: uint32(number), open: open, out: out}
		if err := clients[number].begin(ctx); err != nil {
			return 0, err
		}
	}
	if plan.Load.Rate != nil {
		started = time.Now()
	}
	var all sync.WaitGroup
	for _, client := range clients {
		client.started = started
		all.Go(func() { client.drive(ctx) })
	}
	all.Wait()
	return plan.Load.Times, nil
}

// isGiven reports whether a field is present and not null.
func isGiven(text json.RawMessage) bool { return len(text) > 0 && string(text) != "null" }

// Limits of one run, the same as those of the test bed's own caller: calls in flight,
// connections, calls.
const (
	maxInFlight    = 10_000
	maxConnections = 1_000
	maxCalls       = 1_000_000_000
)

// bounded returns an error when a run of the plan would not end, or would hold too much in
// memory.
func (p *callPlan) bounded() error {
	l := p.Load
	flying := uint64(l.Connections) * uint64(l.Streams)
	switch {
	case flying == 0:
		return fmt.Errorf("at least one connection and one stream are needed")
	case l.Times > maxCalls:
		return fmt.Errorf("times is %d; the caller's limit is %d", l.Times, maxCalls)
	case l.Connections > maxConnections:
		return fmt.Errorf("connections is %d; the caller's limit is %d", l.Connections, maxConnections)
	case flying > maxInFlight:
		return fmt.Errorf("connections × streams is %d; the caller's limit is %d", flying, maxInFlight)
	case l.Rate != nil && (!(*l.Rate > 0) || math.IsInf(*l.Rate, 0)):
		return fmt.Errorf("rate is not a positive number of calls per second")
	}
	for _, key := range p.PerCall {
		if key.count == 0 {
			return fmt.Errorf("metadata %s: the number of values is 0; at least 1 is needed", key.key)
		}
	}
	return nil
}

// client is one of the plan's clients (a channel, in grpc-go's terms) and its share of the calls.
type client struct {
	plan    *callPlan
	number  uint32
	open    func() (maker, error)
	maker   maker
	started time.Time
	out     *lines
}

// begin opens the client. The schedule of an open loop starts when the client has connected or
// failed to connect: otherwise the calls that wait for a slow name server would all be made at
// once.
func (c *client) begin(ctx context.Context) (err error) {
	if c.plan.Load.Reconnect {
		return nil
	}
	if c.maker, err = c.open(); err != nil {
		return err
	}
	if channel, ok := c.maker.(*channel); ok && c.plan.Load.Rate != nil {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(c.plan.Patience)*time.Millisecond)
		defer cancel()
		channel.connect(ctx)
		channel.settle(ctx)
	}
	return nil
}

func (c *client) drive(ctx context.Context) {
	if c.maker != nil {
		defer c.maker.close()
	}
	room := make(chan struct{}, c.room())
	first, end := context.WithCancel(ctx) // lasts as long as the client's first call
	defer end()
	var flying sync.WaitGroup
	for index := uint64(c.number); index < c.plan.Load.Times; index += uint64(c.plan.Load.Connections) {
		intended := c.intended(index)
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(c.started.Add(intended))):
		}
		if c.plan.Load.Rate != nil && len(room) == cap(room) {
			c.out.stop(fmt.Errorf("%d calls are in flight on one of %d connections, the caller's limit: the schedule cannot be kept",
				len(room), c.plan.Load.Connections))
		}
		select {
		case <-ctx.Done():
			flying.Wait()
			return
		case room <- struct{}{}:
		}
		isFirst := index == uint64(c.number)
		flying.Go(func() {
			c.one(ctx, index, intended)
			<-room
			if isFirst {
				end()
			}
		})
		if isFirst && c.plan.Load.Rate == nil {
			c.join(ctx, first)
		}
	}
	flying.Wait()
}

// join holds back a closed loop's other calls until the first call has connected the client to
// all known endpoints, or has ended.
func (c *client) join(ctx, first context.Context) {
	if channel, ok := c.maker.(*channel); ok {
		channel.connect(first)
		channel.settle(ctx)
	}
}

func (c *client) room() uint32 {
	if c.plan.Load.Rate != nil {
		return max(1, maxInFlight/c.plan.Load.Connections)
	}
	return c.plan.Load.Streams
}

// intended returns when a call is scheduled; in a closed loop that is at once.
func (c *client) intended(index uint64) time.Duration {
	if c.plan.Load.Rate == nil {
		return 0
	}
	return time.Duration(float64(index) / *c.plan.Load.Rate * float64(time.Second))
}

func (c *client) one(ctx context.Context, index uint64, intended time.Duration) {
	plan := c.plan
	one := single{id: fmt.Sprintf("%s-%d", plan.ID, index), index: index, started: c.started, metadata: plan.Metadata}
	one.limit = time.Duration(plan.Patience) * time.Millisecond
	if plan.Deadline != nil {
		one.limit = time.Duration(*plan.Deadline) * time.Millisecond
	}
	for _, key := range plan.PerCall {
		one.own = append(one.own, pair{key.key, fmt.Sprintf("%s-%d", key.key, index%key.count)})
	}
	began := micros(c.started)
	seen, number := c.made(ctx, one)
	seen.Line, seen.Call, seen.Index, seen.Connection, seen.Own = "call", one.id, index, number, one.own
	if seen.IntendedUs = began; plan.Load.Rate != nil {
		seen.IntendedUs = uint64(intended.Microseconds())
	}
	seen.EndUs = micros(c.started)
	if ctx.Err() == nil {
		c.out.write(seen)
	}
}

// made makes one call over the client, or over a new one.
func (c *client) made(ctx context.Context, one single) (observation, uint32) {
	if c.maker != nil {
		return c.maker.make(ctx, one), c.number
	}
	fresh, err := c.open()
	if err != nil {
		words := err.Error()
		seen := unseen()
		seen.TransportError, seen.Status = &words, status{Code: unavailable, Message: words, Origin: "transport"}
		return seen, uint32(one.index)
	}
	defer fresh.close()
	return fresh.make(ctx, one), uint32(one.index)
}

// unavailable is the code of a call that could not be sent.
const unavailable = 14

func unseen() observation {
	return observation{Headers: []pair{}, Trailers: []pair{}, Messages: [][2]uint64{}, Replies: []json.RawMessage{}}
}
