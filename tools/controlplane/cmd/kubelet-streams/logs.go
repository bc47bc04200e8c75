package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// followInterval is how often a followed log is checked for more.
const followInterval = 100 * time.Millisecond

// logOptions are those of `kubectl logs` (PodLogOptions of the core API).
type logOptions struct {
	follow, previous, timestamps bool
	since                        time.Time
	tail, limit                  *int64
}

func parseLogOptions(query url.Values, now time.Time) (logOptions, error) {
	var o logOptions
	var failed error
	flag := func(name string) bool {
		value, err := strconv.ParseBool(query.Get(name))
		if query.Get(name) != "" && err != nil {
			failed = fmt.Errorf("%s=%q is neither true nor false", name, query.Get(name))
		}
		return value
	}
	count := func(name string) *int64 {
		if query.Get(name) == "" {
			return nil
		}
		value, err := strconv.ParseInt(query.Get(name), 10, 64)
		if err != nil || value < 0 {
			failed = fmt.Errorf("%s=%q is not a number from 0 up", name, query.Get(name))
		}
		return &value
	}
	o.follow, o.previous, o.timestamps = flag("follow"), flag("previous"), flag("timestamps")
	o.tail, o.limit = count("tailLines"), count("limitBytes")
	if seconds := count("sinceSeconds"); seconds != nil {
		o.since = now.Add(-time.Duration(*seconds) * time.Second)
	}
	if text := query.Get("sinceTime"); text != "" {
		since, err := time.Parse(time.RFC3339, text)
		if err != nil {
			failed = fmt.Errorf("sinceTime=%q is not a time as in RFC 3339", text)
		}
		o.since = since
	}
	return o, failed
}

func (n node) serveLogs(w http.ResponseWriter, r *http.Request) {
	options, err := parseLogOptions(r.URL.Query(), time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	q := questionOf("logs", r)
	q.Previous = options.previous
	w.Header().Set("Content-Type", "text/plain")
	out := flushing{w, http.NewResponseController(w)}
	if err := n.copyLog(r.Context(), q, options, writers{out, out}); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// flushing flushes every write at once, for clients that follow a log.
type flushing struct {
	http.ResponseWriter
	controller *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	count, err := f.ResponseWriter.Write(p)
	return count, errors.Join(err, f.controller.Flush())
}

// writers receive a container's standard output and standard error; either may be nil.
type writers struct {
	out, err io.Writer
}

// copyLog writes the log of the container in the question. A followed log ends with the
// container.
func (n node) copyLog(ctx context.Context, q question, o logOptions, to writers) error {
	q.Op, q.TTY = "logs", false
	place, err := n.ask(q)
	if err != nil {
		return err
	}
	file, err := os.Open(place.Path)
	if err != nil {
		return fmt.Errorf("reading the log of container %s: %w", q.Container, err)
	}
	defer func() { _ = file.Close() }()
	if o.tail != nil {
		if err := seekTail(file, *o.tail); err != nil {
			return err
		}
	}
	printer := printer{options: o, to: to}
	lines := bufio.NewReader(file)
	for last := !o.follow || !place.Running; ; {
		finished, err := printer.drain(lines)
		if err != nil || finished || last {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followInterval):
		}
		now, err := n.ask(q)
		last = err != nil || !now.Running || now.Path != place.Path // once more, for what was written meanwhile
	}
}

// seekTail positions the file where its last count lines begin.
func seekTail(file *os.File, count int64) error {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil || count == 0 {
		return err
	}
	chunk := make([]byte, 64<<10)
	for seen := int64(0); end > 0; {
		size := min(int64(len(chunk)), end)
		if _, err := file.ReadAt(chunk[:size], end-size); err != nil {
			return err
		}
		for at := size - 1; at >= 0; at-- {
			if chunk[at] != '\n' {
				continue
			}
			if seen++; seen > count {
				_, err := file.Seek(end-size+at+1, io.SeekStart)
				return err
			}
		}
		end -= size
	}
	_, err = file.Seek(0, io.SeekStart)
	return err
}

// printer converts lines of the log file to what a client reads.
type printer struct {
	options logOptions
	to      writers
	half    []byte // an unfinished line
	inside  bool   // the previous line was a part of a longer one
	written int64
}

// drain prints all complete lines; true means that the limit is reached.
func (p *printer) drain(lines *bufio.Reader) (bool, error) {
	for {
		line, err := lines.ReadBytes('\n')
		p.half = append(p.half, line...)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		whole := p.half
		p.half = nil
		if done, err := p.print(whole); done || err != nil {
			return done, err
		}
	}
}

// print converts one line in the CRI format: time, stream, P for a partial or F for a full line,
// text.
func (p *printer) print(line []byte) (bool, error) {
	fields := bytes.SplitN(line, []byte(" "), 4)
	if len(fields) < 4 {
		return false, nil
	}
	when, err := time.Parse(time.RFC3339Nano, string(fields[0]))
	if err != nil || when.Before(p.options.since) {
		return false, nil
	}
	text := fields[3]
	part := len(fields[2]) > 0 && fields[2][0] == 'P'
	if part {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	if p.options.timestamps && !p.inside {
		text = append(append(bytes.Clone(fields[0]), ' '), text...)
	}
	p.inside = part
	if limit := p.options.limit; limit != nil && p.written+int64(len(text)) >= *limit {
		text = text[:*limit-p.written]
	}
	p.written += int64(len(text))
	to := p.to.out
	if string(fields[1]) == "stderr" {
		to = p.to.err
	}
	if to != nil {
		if _, err := to.Write(text); err != nil {
			return true, nil // the client has disconnected
		}
	}
	return p.options.limit != nil && p.written >= *p.options.limit, nil
}
