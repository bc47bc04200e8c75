package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// grpcurl makes each call with the grpcurl program, as people do by hand: one process and one
// connection per call, and the method looked up by server reflection.
type grpcurl struct {
	program string
	plan    *callPlan
}

// Calls of the reflection service are made with grpcurl's own verbs.
const reflection = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

func (grpcurl) close() {}

func (g grpcurl) make(ctx context.Context, one single) observation {
	ctx, cancel := context.WithTimeout(ctx, one.limit+5*time.Second)
	defer cancel()
	var out, failed bytes.Buffer
	command := exec.CommandContext(ctx, g.program, g.words(one)...)
	command.Stdout, command.Stderr = &out, &failed
	seen := unseen()
	seen.SentUs = micros(one.started)
	err := command.Run()
	readAnswer(&seen, out.String(), micros(one.started))
	readStatus(&seen, failed.String(), err)
	return seen
}

// words returns the arguments, as documented.
func (g grpcurl) words(one single) []string {
	plan, words := g.plan, []string{"-max-time", fmt.Sprintf("%.3f", one.limit.Seconds())}
	switch {
	case plan.TLS == nil:
		words = append(words, "-plaintext")
	case plan.TLS.RootsPEM == "":
		words = append(words, "-insecure")
	}
	if plan.TLS != nil && plan.TLS.SNI != nil {
		words = append(words, "-servername", *plan.TLS.SNI)
	}
	if plan.Authority != nil {
		words = append(words, "-authority", *plan.Authority)
	}
	if plan.Method == reflection {
		return append(append(words, plan.Address), g.verb()...)
	}
	headers := append(append([]pair{{callHeader, one.id}}, one.metadata...), one.own...)
	if isGiven(plan.Script) {
		headers = append(headers, pair{scriptHeader, ascii(plan.Script)})
	}
	for _, header := range headers {
		words = append(words, "-rpc-header", header[0]+": "+header[1])
	}
	data := bytes.Join(raw(plan.Messages), []byte("\n"))
	return append(words, "-v", "-d", string(data), plan.Address, plan.Method)
}

func raw(messages []json.RawMessage) [][]byte {
	all := make([][]byte, 0, len(messages))
	for _, message := range messages {
		all = append(all, message)
	}
	return all
}

// verb is `list`, or `describe SYMBOL` where the message asks for the file of a symbol.
func (g grpcurl) verb() []string {
	var asked struct {
		Symbol string `json:"file_containing_symbol"`
	}
	for _, message := range g.plan.Messages {
		_ = json.Unmarshal(message, &asked)
	}
	if asked.Symbol != "" {
		return []string{"describe", asked.Symbol}
	}
	return []string{"list"}
}

// readAnswer parses headers, messages and trailers of the output of `-v`: each a title, then
// lines up to an empty one.
func readAnswer(seen *observation, text string, now uint64) {
	into := (*[]pair)(nil)
	var message strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "Response headers received:":
			into = &seen.Headers
		case line == "Response trailers received:":
			into = &seen.Trailers
		case strings.HasPrefix(line, "Response contents"), strings.HasPrefix(line, "Estimated response size"):
			into, inside = nil, strings.HasPrefix(line, "Response contents")
			message.Reset()
		case line == "" && inside && json.Valid([]byte(message.String())):
			seen.Messages = append(seen.Messages, [2]uint64{now, uint64(message.Len())})
			seen.Replies = append(seen.Replies, json.RawMessage(message.String()))
			inside = false
		case line == "":
			into = nil
		case inside:
			message.WriteString(line)
		case into != nil && line != "(empty)":
			if name, value, ok := strings.Cut(line, ": "); ok {
				*into = append(*into, pair{strings.ToLower(name), value})
			}
		}
	}
	seen.TrailersOnly = len(seen.Headers) == 0 && len(seen.Trailers) > 0
}

// readStatus parses code and message of grpcurl's output for a failed call. grpcurl does not
// distinguish statuses of the wire from those that its gRPC library generated: only metadata of a
// response indicates the former.
func readStatus(seen *observation, text string, err error) {
	if err == nil {
		seen.Status.Origin = "wire"
		return
	}
	seen.Status = status{Code: unavailable, Message: strings.TrimSpace(text), Origin: "transport"}
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Code: "); ok {
			seen.Status.Code = code(name)
		}
		if message, ok := strings.CutPrefix(strings.TrimSpace(line), "Message: "); ok {
			seen.Status.Message = message
		}
	}
	if len(seen.Headers)+len(seen.Trailers) > 0 {
		seen.Status.Origin = "wire"
		return
	}
	words := seen.Status.Message
	seen.TransportError = &words
}

// code returns the status for the name that grpc-go prints, such as DeadlineExceeded.
func code(name string) uint32 {
	for code := range codes.Code(17) {
		if code.String() == name {
			return uint32(code)
		}
	}
	return uint32(codes.Unknown)
}
