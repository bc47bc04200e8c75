package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// askTimeout limits how long the node's agent may take to answer a question.
const askTimeout = 10 * time.Second

// question is the line of JSON that opens a connection to the node's agent.
//
//	exec        → {"argv":[…],"env":[…]}: prefix of the user's command that runs it in the container
//	attach      → {"ok":true}: the connection now carries the container's standard input and output
//	portforward → {"ok":true}: the connection now carries the data of the port inside the pod
//	logs        → {"path":"…","running":true}: the container's log file, in the format of the CRI
//
// Every answer can be {"error":"…"} instead.
type question struct {
	Op        string `json:"op"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Container string `json:"container,omitempty"`
	TTY       bool   `json:"tty,omitempty"`
	Port      int32  `json:"port,omitempty"`
	Previous  bool   `json:"previous,omitempty"`
}

type answer struct {
	Error   string   `json:"error"`
	OK      bool     `json:"ok"`
	Argv    []string `json:"argv"`
	Env     []string `json:"env"`
	Path    string   `json:"path"`
	Running bool     `json:"running"`
}

// node is a client of the node's agent.
type node struct {
	socket string
}

// conversation is a connection that stays open after the answer. Reads return what follows the
// answer's line.
type conversation struct {
	*net.UnixConn
	reader *bufio.Reader
}

func (c conversation) Read(p []byte) (int, error) { return c.reader.Read(p) }

// open asks a question and keeps the connection open.
func (n node) open(q question) (conversation, answer, error) {
	var a answer
	dialled, err := net.DialTimeout("unix", n.socket, askTimeout)
	if err != nil {
		return conversation{}, a, fmt.Errorf("the node's agent does not answer: %w", err)
	}
	c := conversation{UnixConn: dialled.(*net.UnixConn), reader: bufio.NewReader(dialled)}
	if err := c.ask(q, &a); err != nil {
		return conversation{}, a, errors.Join(err, c.Close())
	}
	return c, a, nil
}

func (c conversation) ask(q question, a *answer) error {
	if err := c.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return err
	}
	if err := json.NewEncoder(c.UnixConn).Encode(q); err != nil {
		return fmt.Errorf("asking the node's agent for %s: %w", q.Op, err)
	}
	line, err := c.reader.ReadBytes('\n')
	if err != nil && len(line) == 0 {
		return fmt.Errorf("the node's agent gave no answer to %s: %w", q.Op, err)
	}
	if err := json.Unmarshal(line, a); err != nil {
		return fmt.Errorf("the node's agent answered %s with %q: %w", q.Op, line, err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	return c.SetDeadline(time.Time{})
}

// ask asks a question and closes the connection after the answer.
func (n node) ask(q question) (answer, error) {
	c, a, err := n.open(q)
	if err != nil {
		return a, err
	}
	return a, c.Close()
}
