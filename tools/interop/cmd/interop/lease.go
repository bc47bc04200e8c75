package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxPlan is the largest accepted plan, in bytes.
const maxPlan = 64 << 20

// Valid lease terms, in milliseconds.
const (
	minLease = 100
	maxLease = 600_000
)

var errGone = errors.New("the controller disconnected: the run was stopped")

// lease reads the plan of a request. With `lease_ms` the plan is the first line of the body, and
// the returned context ends when no data follows for that long or when the body ends; its cause
// says why.
func lease(w http.ResponseWriter, r *http.Request) (context.Context, []byte, error) {
	text := r.URL.Query().Get("lease_ms")
	if text == "" {
		plan, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPlan))
		return r.Context(), plan, err
	}
	ms, err := strconv.ParseUint(text, 10, 32)
	if err != nil || ms < minLease || ms > maxLease {
		return nil, nil, fmt.Errorf("lease_ms must be %d to %d", minLease, maxLease)
	}
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
		return nil, nil, fmt.Errorf("a lease needs a full-duplex connection: %w", err)
	}
	body := bufio.NewReader(r.Body)
	plan, err := line(body)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	go watch(ctx, cancel, body, time.Duration(ms)*time.Millisecond)
	return ctx, plan, nil
}

func line(body *bufio.Reader) ([]byte, error) {
	var plan bytes.Buffer
	for {
		piece, err := body.ReadSlice('\n')
		plan.Write(piece)
		if plan.Len() > maxPlan {
			return nil, fmt.Errorf("longer than %d bytes", maxPlan)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return plan.Bytes(), err
	}
}

// watch ends the context when no data comes from body for the term.
func watch(ctx context.Context, cancel context.CancelCauseFunc, body io.Reader, term time.Duration) {
	silent := time.AfterFunc(term, func() {
		cancel(fmt.Errorf("the controller sent nothing for %v: the run was stopped", term))
	})
	defer silent.Stop()
	piece := make([]byte, 512)
	for ctx.Err() == nil {
		if _, err := body.Read(piece); err != nil {
			cancel(errGone)
			return
		}
		silent.Reset(term)
	}
}
