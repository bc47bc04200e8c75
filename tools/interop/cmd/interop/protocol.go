package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// The control protocol. It is described in fixtures/testbed/src/control.rs, its schema is
// fixtures/testbed/control.schema.json. The tests in tests/it/contract hold this program to it.

const (
	scriptHeader   = "x-meshproof-script"
	callHeader     = "x-meshproof-call"
	serverHeader   = "x-meshproof-server"
	podHeader      = "x-meshproof-pod"
	workloadHeader = "x-meshproof-workload"
	attemptHeader  = "x-meshproof-attempt"
	// identityKey is ledger metadata: the URI name in the certificate of a client that the server
	// itself verified.
	identityKey = "x-meshproof-peer"
	// accountKey is the service account in that name.
	accountKey = "x-meshproof-peer-account"
)

type pair [2]string

// readStrictly reads one document. An unknown field is an error, because otherwise what it asks
// for would silently not happen.
func readStrictly(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("unexpected data after the document")
	}
	return nil
}

// ascii encodes a document in the characters that a metadata value may have.
func ascii(document json.RawMessage) string {
	var text strings.Builder
	for _, letter := range string(document) {
		switch {
		case letter < ' ':
			text.WriteByte(' ') // between tokens: JSON strings contain no control characters
		case letter <= '~':
			text.WriteRune(letter)
		default:
			for _, unit := range utf16.Encode([]rune{letter}) {
				fmt.Fprintf(&text, `\u%04x`, unit)
			}
		}
	}
	return text.String()
}

type info struct {
	Role      string `json:"role"`
	Pod       string `json:"pod"`
	Namespace string `json:"namespace"`
	UID       string `json:"uid"`
	Workload  string `json:"workload"`
	Version   string `json:"version"`
}

// identity is the value of podHeader; empty when the pod does not know its UID.
func (i info) identity() string {
	if i.Namespace == "" || i.UID == "" {
		return ""
	}
	return i.Namespace + "/" + i.UID
}

type callPlan struct {
	ID        string            `json:"id"`
	Address   string            `json:"address"`
	Authority *string           `json:"authority"`
	Method    string            `json:"method"`
	Form      json.RawMessage   `json:"form"`
	Messages  []json.RawMessage `json:"messages"`
	Metadata  []pair            `json:"metadata"`
	PerCall   []perCall         `json:"per_call"`
	Script    json.RawMessage   `json:"script"`
	Stream    json.RawMessage   `json:"stream"`
	Pad       *uint32           `json:"pad"`
	Deadline  *uint64           `json:"deadline_ms"`
	TLS       *tlsPlan          `json:"tls"`
	Load      load              `json:"load"`
	Patience  uint64            `json:"patience_ms"`
	Summary   bool              `json:"summary"`
}

// perCall is `["key", count]` on the wire.
type perCall struct {
	key   string
	count uint64
}

func (p *perCall) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[2]any{&p.key, &p.count})
}

type load struct {
	Times       uint64   `json:"times"`
	Connections uint32   `json:"connections"`
	Streams     uint32   `json:"streams"`
	Rate        *float64 `json:"rate"`
	Reconnect   bool     `json:"reconnect"`
	ForMs       *uint64  `json:"for_ms"`
}

type tlsPlan struct {
	SNI       *string  `json:"sni"`
	ALPN      []string `json:"alpn"`
	RootsPEM  string   `json:"roots_pem"`
	ClientPEM *string  `json:"client_pem"`
	Version   *string  `json:"version"`
}

type script struct {
	Status      *uint32 `json:"status"`
	Message     *string `json:"message"`
	Shape       string  `json:"shape"`
	FailFirst   *uint32 `json:"fail_first"`
	DelayMs     uint64  `json:"delay_ms"`
	GapMs       uint64  `json:"gap_ms"`
	Messages    *uint32 `json:"messages"`
	Size        *uint32 `json:"size"`
	HoldMs      uint64  `json:"hold_ms"`
	FinishAfter *uint32 `json:"finish_after"`
	ReadGapMs   uint64  `json:"read_gap_ms"`
	Headers     []pair  `json:"headers"`
	Trailers    []pair  `json:"trailers"`
	Pad         *uint32 `json:"pad"`
}

// beyond returns an error when a script asks for what grpc-go's server cannot do.
func (t script) beyond() error {
	for what, asked := range map[string]bool{
		"reset a stream": t.Shape == "reset" || t.Shape == "reset-after-messages",
		"end a stream while it is read (finish_after)": t.FinishAfter != nil,
		"read slowly (read_gap_ms)":                    t.ReadGapMs > 0,
		"pad its trailers (pad)":                       t.Pad != nil,
	} {
		if asked {
			return fmt.Errorf("this server cannot %s: use the test bed's own server", what)
		}
	}
	return nil
}

type observation struct {
	Line           string            `json:"line"`
	Call           string            `json:"call"`
	Index          uint64            `json:"index"`
	Connection     uint32            `json:"connection"`
	Own            []pair            `json:"own,omitempty"`
	IntendedUs     uint64            `json:"intended_us"`
	SentUs         uint64            `json:"sent_us"`
	HeadersUs      *uint64           `json:"headers_us"`
	EndUs          uint64            `json:"end_us"`
	HTTPStatus     *uint16           `json:"http_status"`
	Headers        []pair            `json:"headers"`
	Trailers       []pair            `json:"trailers"`
	TrailersOnly   bool              `json:"trailers_only"`
	Messages       [][2]uint64       `json:"messages"`
	Replies        []json.RawMessage `json:"replies"`
	Reset          *reset            `json:"reset"`
	GoAway         *struct{}         `json:"goaway"`
	TransportError *string           `json:"transport_error"`
	Status         status            `json:"status"`
	TLS            *tlsSeen          `json:"tls"`
}

type reset struct {
	Code   string `json:"code"`
	Remote bool   `json:"remote"`
}

type status struct {
	Code    uint32 `json:"code"`
	Message string `json:"message"`
	// One of wire, http, reset, transport, client-deadline, client-patience.
	Origin string `json:"origin"`
}

type tlsSeen struct {
	ALPN    *string  `json:"alpn"`
	Version string   `json:"version"`
	Names   []string `json:"peer_names"`
	Serial  string   `json:"peer_serial"`
}

type attempt struct {
	Call       string  `json:"call"`
	Attempt    uint32  `json:"attempt"`
	Pod        string  `json:"pod"`
	Namespace  string  `json:"namespace,omitempty"`
	UID        string  `json:"uid,omitempty"`
	Workload   string  `json:"workload"`
	Method     string  `json:"method"`
	Authority  string  `json:"authority"`
	Peer       string  `json:"peer"`
	Connection uint64  `json:"connection"`
	Port       uint16  `json:"port"`
	Protocol   string  `json:"protocol"`
	AtUs       uint64  `json:"at_us"`
	TookUs     *uint64 `json:"took_us"`
	TimeoutMs  *uint64 `json:"timeout_ms"`
	Status     *uint32 `json:"status"`
	End        string  `json:"end"`
	Received   uint32  `json:"received"`
	Metadata   []pair  `json:"metadata"`
}
