package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
)

// agent answers as a node's agent with one pod, ns/web: commands run in this process's
// environment, port 80 echoes in upper case.
type agent struct {
	log     string
	running func() bool
	asked   chan question
}

func (a agent) serve(t *testing.T, listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = connection.Close() }()
			reader := bufio.NewReader(connection)
			var q question
			line, _ := reader.ReadBytes('\n')
			if err := json.Unmarshal(line, &q); err != nil {
				t.Errorf("question %q: %v", line, err)
			}
			select {
			case a.asked <- q:
			default:
			}
			a.reply(q, connection, reader)
		}()
	}
}

func (a agent) reply(q question, connection net.Conn, reader io.Reader) {
	if q.Pod != "web" || q.Namespace != "ns" {
		_, _ = fmt.Fprintf(connection, `{"error":"no pod %s/%s on this node"}`+"\n", q.Namespace, q.Pod)
		return
	}
	switch q.Op {
	case "exec":
		_, _ = io.WriteString(connection, `{"argv":["/usr/bin/env","WHERE=inside"]}`+"\n")
	case "logs":
		_, _ = fmt.Fprintf(connection, `{"path":%q,"running":%v}`+"\n", a.log, a.running())
	case "attach", "portforward":
		if q.Op == "portforward" && q.Port != 80 {
			_, _ = fmt.Fprintf(connection, `{"error":"connection refused by port %d"}`+"\n", q.Port)
			return
		}
		_, _ = io.WriteString(connection, `{"ok":true}`+"\n")
		all, _ := io.ReadAll(reader)
		_, _ = connection.Write(bytes.ToUpper(all))
	}
}

type fixture struct {
	server *httptest.Server
	agent  agent
}

func start(t *testing.T, log string, running func() bool) fixture {
	t.Helper()
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, "node.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	a := agent{log: filepath.Join(dir, "0.log"), running: running, asked: make(chan question, 16)}
	if err := os.WriteFile(a.log, []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	go a.serve(t, listener)
	server := httptest.NewServer(newHandler(node{socket: listener.Addr().String()}))
	t.Cleanup(server.Close)
	return fixture{server, a}
}

func stopped() bool { return false }

func (f fixture) url(path string) *url.URL {
	u, _ := url.Parse(f.server.URL + path)
	return u
}

type executed struct{ out, err bytes.Buffer }

// run speaks SPDY as the API server does, which translates kubectl's WebSocket for nodes that do
// not declare WebSocket support.
func (f fixture) run(t *testing.T, path string, stdin io.Reader, tty bool) (*executed, error) {
	t.Helper()
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{Host: f.server.URL}, "POST", f.url(path))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var e executed
	options := remotecommand.StreamOptions{Stdin: stdin, Stdout: &e.out, Tty: tty}
	if !tty {
		options.Stderr = &e.err
	}
	return &e, executor.StreamWithContext(ctx, options)
}

func command(words ...string) string {
	return "/exec/ns/web/app?output=1&error=1&" + url.Values{"command": words}.Encode()
}

func TestACommandsOutputErrorsAndStatusReachTheClient(t *testing.T) {
	f := start(t, "", stopped)
	e, err := f.run(t, command("sh", "-c", "echo $WHERE; echo oh >&2; exit 7"), nil, false)
	var exit utilexec.CodeExitError
	if !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("status 7 became %v", err)
	}
	if e.out.String() != "inside\n" || e.err.String() != "oh\n" {
		t.Errorf("got %q and %q", e.out.String(), e.err.String())
	}
}

func TestASignalCountsAsInAShell(t *testing.T) {
	_, err := start(t, "", stopped).run(t, command("sh", "-c", "kill -9 $$"), nil, false)
	var exit utilexec.CodeExitError
	if !errors.As(err, &exit) || exit.Code != 137 {
		t.Fatalf("SIGKILL became %v", err)
	}
}

func TestInputReachesTheCommandWholeAndItsEndToo(t *testing.T) {
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	e, err := start(t, "", stopped).run(t, command("cat")+"&input=1", bytes.NewReader(sent), false)
	if err != nil || !bytes.Equal(e.out.Bytes(), sent) {
		t.Fatalf("sent %d bytes, got %d, %v", len(sent), e.out.Len(), err)
	}
}

func TestACommandEndsThoughTheClientKeepsItsInputOpen(t *testing.T) {
	open, _ := io.Pipe()
	started := time.Now()
	_, err := start(t, "", stopped).run(t, command("true")+"&input=1", open, false)
	if took := time.Since(started); err != nil || took > 5*time.Second {
		t.Fatalf("%v after %v", err, took)
	}
}

func TestATerminalIsATerminal(t *testing.T) {
	f := start(t, "", stopped)
	path := command("sh", "-c", "test -t 0 && test -t 1 && echo yes; exit 3") + "&input=1&tty=1"
	e, err := f.run(t, path, strings.NewReader(""), true)
	var exit utilexec.CodeExitError
	if !errors.As(err, &exit) || exit.Code != 3 || !strings.Contains(e.out.String(), "yes") {
		t.Fatalf("got %q, %v", e.out.String(), err)
	}
	if q := <-f.agent.asked; !q.TTY || q.Container != "app" {
		t.Fatalf("asked %+v", q)
	}
}

func TestWhatTheAgentRefusesReachesTheClient(t *testing.T) {
	_, err := start(t, "", stopped).run(t, "/exec/ns/gone/app?output=1&error=1&command=true", nil, false)
	if err == nil || !strings.Contains(err.Error(), "no pod ns/gone on this node") {
		t.Fatalf("got %v", err)
	}
}

func TestAttachWithInputReachesTheContainersOwnStreams(t *testing.T) {
	path := "/attach/ns/web/some-uid/app?input=1&output=1&error=1"
	e, err := start(t, "", stopped).run(t, path, strings.NewReader("hello"), false)
	if err != nil || e.out.String() != "HELLO" {
		t.Fatalf("got %q, %v", e.out.String(), err)
	}
}

func TestAttachWithoutInputFollowsTheLogFromNow(t *testing.T) {
	var f fixture
	asked := 0
	f = start(t, "2026-01-02T03:04:05.0Z stdout F before\n", func() bool {
		if asked++; asked == 2 {
			appendTo(t, f.agent.log, "2026-01-02T03:04:06.0Z stdout F after\n2026-01-02T03:04:06.0Z stderr F oh\n")
		}
		return asked < 3
	})
	e, err := f.run(t, "/attach/ns/web/app?output=1&error=1", nil, false)
	if err != nil || e.out.String() != "after\n" || e.err.String() != "oh\n" {
		t.Fatalf("got %q and %q, %v", e.out.String(), e.err.String(), err)
	}
}

func forward(t *testing.T, f fixture, port int) (local uint16) {
	t.Helper()
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{Host: f.server.URL})
	if err != nil {
		t.Fatal(err)
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", f.url("/portForward/ns/web"))
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.New(dialer, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	t.Cleanup(func() { close(stop); <-ended })
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("forwarding ended: %v", err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	return ports[0].Local
}

func TestAPortAnswersAfterTheClientsEndOfInput(t *testing.T) {
	port := forward(t, start(t, "", stopped), 80)
	for range 3 {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(connection, "ping")
		_ = connection.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(connection)
		if err != nil || string(got) != "PING" {
			t.Fatalf("got %q, %v", got, err)
		}
		_ = connection.Close()
	}
}

func TestARefusedPortIsReported(t *testing.T) {
	said, handlers := make(chan string, 16), runtime.ErrorHandlers // the client reports through these
	runtime.ErrorHandlers = []runtime.ErrorHandler{func(_ context.Context, err error, _ string, _ ...any) { said <- err.Error() }}
	t.Cleanup(func() { runtime.ErrorHandlers = handlers })
	port := forward(t, start(t, "", stopped), 81)
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	select {
	case line := <-said:
		// The error's text and the end of the stream race in the client.
		if !strings.Contains(line, "connection refused by port 81") && !strings.Contains(line, "Stream reset") {
			t.Fatalf("reported as %q", line)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the refused port was not reported")
	}
}
