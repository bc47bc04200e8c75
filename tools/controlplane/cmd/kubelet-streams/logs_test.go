package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const threeLines = `2026-01-02T03:04:05.000000000Z stdout F one
2026-01-02T03:04:06.000000000Z stderr F two
2026-01-02T03:04:07.000000000Z stdout P thr
2026-01-02T03:04:07.000000001Z stdout F ee
`

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(text)
		_ = file.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, f fixture, path string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 20 * time.Second}
	response, err := client.Get(f.server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestLogsHonourTheirOptions(t *testing.T) {
	f := start(t, threeLines, stopped)
	for query, want := range map[string]string{
		"":                               "one\ntwo\nthree\n",
		"tailLines=0":                    "",
		"tailLines=2":                    "three\n", // counts lines of the file, as the kubelet does
		"tailLines=3":                    "two\nthree\n",
		"tailLines=99":                   "one\ntwo\nthree\n",
		"limitBytes=5":                   "one\nt",
		"sinceTime=2026-01-02T03:04:06Z": "two\nthree\n",
		"sinceSeconds=1":                 "",
		"tailLines=3&timestamps=true": "2026-01-02T03:04:06.000000000Z two\n" +
			"2026-01-02T03:04:07.000000000Z three\n",
		"follow=true": "one\ntwo\nthree\n",
	} {
		if status, got := get(t, f, "/containerLogs/ns/web/app?"+query); got != want || status != 200 {
			t.Errorf("%q: got %d %q, want %q", query, status, got, want)
		}
	}
}

func TestAFollowedLogEndsWithTheContainerAndLosesNothing(t *testing.T) {
	var f fixture
	asked := 0
	f = start(t, threeLines, func() bool {
		if asked++; asked > 1 && asked < 5 { // the last lines are written while the container ends
			appendTo(t, f.agent.log, "2026-01-02T03:04:08.0Z stdout F more\n")
		}
		return asked < 4
	})
	status, got := get(t, f, "/containerLogs/ns/web/app?follow=true&tailLines=1")
	if want := "ee\n" + strings.Repeat("more\n", 3); got != want || status != 200 {
		t.Fatalf("got %d %q, want %q", status, got, want)
	}
}

func TestBadLogRequestsAreRefusedInWords(t *testing.T) {
	f := start(t, threeLines, stopped)
	for path, want := range map[string]string{
		"/containerLogs/ns/gone/app":                "no pod ns/gone on this node",
		"/containerLogs/ns/web/app?tailLines=x":     "tailLines",
		"/containerLogs/ns/web/app?follow=perhaps":  "follow",
		"/containerLogs/ns/web/app?sinceTime=noon":  "sinceTime",
		"/containerLogs/ns/web/app?limitBytes=-500": "limitBytes",
	} {
		if status, got := get(t, f, path); status != 400 || !strings.Contains(got, want) {
			t.Errorf("%s: got %d %q", path, status, got)
		}
	}
}

func TestTheAgentIsAskedForThePreviousContainer(t *testing.T) {
	f := start(t, threeLines, stopped)
	get(t, f, "/containerLogs/ns/web/app?previous=true")
	if q := <-f.agent.asked; !q.Previous || q.Op != "logs" || q.Container != "app" {
		t.Fatalf("asked %+v", q)
	}
}
