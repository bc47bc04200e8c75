package main

import (
	"net"
	"net/http"
	"strconv"
	"time"
)

// reachLimit is the timeout of one connection. On a working network it takes milliseconds.
const reachLimit = 3 * time.Second

// reachMost is the largest number of connections per request.
const reachMost = 1000

type reached struct {
	Made  uint64  `json:"made"`
	Error *string `json:"error"`
}

// reach connects to an address the requested number of times, one after the other, and stops at
// the first failure.
func reach(w http.ResponseWriter, r *http.Request) {
	times, err := strconv.Atoi(r.URL.Query().Get("times"))
	if err != nil {
		times = 1
	}
	var found reached
	for range min(times, reachMost) {
		connection, err := net.DialTimeout("tcp", r.URL.Query().Get("address"), reachLimit)
		if err != nil {
			words := err.Error()
			found.Error = &words
			break
		}
		_ = connection.Close()
		found.Made++
	}
	answer(w, found)
}
