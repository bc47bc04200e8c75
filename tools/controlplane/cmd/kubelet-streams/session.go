package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/creack/pty"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// drainTimeout limits how long to wait for output after a command has ended: a descendant may
// hold its pipes open forever.
const drainTimeout = 10 * time.Second

// session executes one request; the question names the container.
type session struct {
	node     node
	question question
	stdin    bool // the client has input; over WebSocket the stream exists in any case
}

// ExecInContainer runs a command as the node's agent specifies. A nonzero status is an ExitError,
// which reaches kubectl.
func (s session) ExecInContainer(
	ctx context.Context, _, _, _ string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool,
	resize <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	answer, err := s.node.ask(s.question)
	if err != nil {
		return err
	}
	argv := append(answer.Argv, command...)
	if len(argv) == 0 {
		return errors.New("no command to run")
	}
	child := exec.CommandContext(ctx, argv[0], argv[1:]...)
	child.WaitDelay = drainTimeout
	child.Env = answer.Env // if empty, the child inherits this process's environment
	if !s.stdin {
		in = nil
	}
	if tty {
		return runOnTerminal(child, in, out, resize)
	}
	return runOnPipes(child, in, out, errOut)
}

func runOnPipes(child *exec.Cmd, in io.Reader, out, errOut io.WriteCloser) error {
	child.Stdout, child.Stderr = out, errOut
	var stdin io.WriteCloser
	if in != nil {
		var err error
		if stdin, err = child.StdinPipe(); err != nil {
			return err
		}
	}
	if err := child.Start(); err != nil {
		return err
	}
	if stdin != nil {
		go func() { // not awaited with the child: the client may keep its input open after the command has ended
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
		}()
	}
	return exitStatus(child.Wait())
}

func runOnTerminal(child *exec.Cmd, in io.Reader, out io.WriteCloser, resize <-chan remotecommand.TerminalSize) error {
	terminal, err := pty.Start(child)
	if err != nil {
		return err
	}
	defer func() { _ = terminal.Close() }()
	go func() {
		for size := range resize {
			_ = pty.Setsize(terminal, &pty.Winsize{Rows: size.Height, Cols: size.Width})
		}
	}()
	if in != nil {
		go func() { _, _ = io.Copy(terminal, in) }()
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		if out != nil {
			if _, err := io.Copy(out, terminal); err != nil && !errors.Is(err, syscall.EIO) { // EIO: the last process has closed the terminal
				_ = child.Process.Signal(syscall.SIGHUP) // the client has disconnected
			}
		}
	}()
	status := exitStatus(child.Wait())
	select {
	case <-drained:
	case <-time.After(drainTimeout):
	}
	return status
}

// exitStatus converts the end of a child to what remotecommand passes on; a signal n counts as
// 128+n, as in a shell.
func exitStatus(err error) error {
	var exit *exec.ExitError
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	if !errors.As(err, &exit) {
		return err
	}
	code := exit.ExitCode()
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	return utilexec.CodeExitError{Err: err, Code: code}
}

// AttachContainer attaches to a running container. Without input, it follows the container's log;
// with input, the node's agent has to hand over the container's own streams.
func (s session) AttachContainer(
	ctx context.Context, _, _, _ string, in io.Reader, out, errOut io.WriteCloser, _ bool,
	resize <-chan remotecommand.TerminalSize,
) error {
	go func() {
		for range resize { // the terminal belongs to the agent
		}
	}()
	if !s.stdin {
		none := int64(0)
		return s.node.copyLog(ctx, s.question, logOptions{follow: true, tail: &none}, writers{out, errOut})
	}
	connection, answer, err := s.node.open(s.question)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if !answer.OK {
		return fmt.Errorf("cannot attach to container %s with input", s.question.Container)
	}
	return join(connection, in, out)
}

// PortForward connects a stream to a port inside the pod.
func (s session) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	q := s.question
	q.Port = port
	connection, answer, err := s.node.open(q)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	if !answer.OK {
		return fmt.Errorf("cannot open port %d of pod %s/%s", port, q.Namespace, q.Pod)
	}
	return join(connection, stream, stream)
}

// join copies in both directions until the far side has closed. The end of input is forwarded as
// a half-close, so that a peer that answers after it is still heard; an input error breaks the
// connection.
func join(connection conversation, in io.Reader, out io.Writer) error {
	go func() {
		if _, err := io.Copy(connection.UnixConn, in); err != nil {
			_ = connection.Close()
			return
		}
		_ = connection.CloseWrite()
	}()
	if out == nil {
		out = io.Discard
	}
	_, err := io.Copy(out, connection.reader)
	if errors.Is(err, os.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}
