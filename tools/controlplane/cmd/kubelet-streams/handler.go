package main

import (
	"net/http"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// Idle time after which the kubelet closes a stream (its --streaming-connection-idle-timeout).
const idleTimeout = 4 * time.Hour

// newHandler routes the paths of the kubelet's API.
func newHandler(n node) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.serveLogs)
	for _, verb := range []string{"GET", "POST"} { // WebSocket clients GET, SPDY clients POST
		mux.HandleFunc(verb+" /exec/{namespace}/{pod}/{container}", n.serveExec)
		mux.HandleFunc(verb+" /exec/{namespace}/{pod}/{uid}/{container}", n.serveExec)
		mux.HandleFunc(verb+" /attach/{namespace}/{pod}/{container}", n.serveAttach)
		mux.HandleFunc(verb+" /attach/{namespace}/{pod}/{uid}/{container}", n.serveAttach)
		mux.HandleFunc(verb+" /portForward/{namespace}/{pod}", n.servePortForward)
		mux.HandleFunc(verb+" /portForward/{namespace}/{pod}/{uid}", n.servePortForward)
	}
	return mux
}

func questionOf(op string, r *http.Request) question {
	return question{Op: op, Namespace: r.PathValue("namespace"), Pod: r.PathValue("pod"), Container: r.PathValue("container")}
}

func (n node) serveExec(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	q := questionOf("exec", r)
	q.TTY = options.TTY
	remotecommand.ServeExec(w, r, session{n, q, options.Stdin}, q.Pod, r.PathValue("uid"), q.Container, r.URL.Query()["command"], options,
		idleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (n node) serveAttach(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	q := questionOf("attach", r)
	q.TTY = options.TTY
	remotecommand.ServeAttach(w, r, session{n, q, options.Stdin}, q.Pod, r.PathValue("uid"), q.Container, options,
		idleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (n node) servePortForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	q := questionOf("portforward", r)
	portforward.ServePortForward(w, r, session{n, q, false}, q.Pod, r.PathValue("uid"), options,
		idleTimeout, remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
}
