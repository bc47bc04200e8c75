// Command kubelet-streams serves the streaming part of a kubelet's API: exec, attach,
// port-forward and logs.
//
// The API server speaks SPDY to the node, whatever kubectl speaks to the API server. The
// protocols are implemented by Kubernetes' own libraries; the node's agent supplies the
// containers over a Unix socket (see node.go).
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
)

type config struct {
	listen, cert, key, clientCA, nodeSocket string
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("kubelet-streams: ")
	var c config
	flag.StringVar(&c.listen, "listen", "127.0.0.1:10250", "address to listen on")
	flag.StringVar(&c.cert, "tls-cert-file", "", "PEM file of the serving certificate")
	flag.StringVar(&c.key, "tls-private-key-file", "", "PEM file of the private key of the serving certificate")
	flag.StringVar(&c.clientCA, "client-ca-file", "", "PEM file of the certificate authorities of permitted clients")
	flag.StringVar(&c.nodeSocket, "node-socket", "", "Unix socket of the node's agent")
	flag.Parse()
	if err := run(c); err != nil {
		log.Fatal(err)
	}
}

func run(c config) error {
	for name, value := range map[string]string{
		"--tls-cert-file": c.cert, "--tls-private-key-file": c.key, "--client-ca-file": c.clientCA, "--node-socket": c.nodeSocket,
	} {
		if value == "" {
			return fmt.Errorf("%s is required", name)
		}
	}
	pem, err := os.ReadFile(c.clientCA)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s contains no certificate", c.clientCA)
	}
	server := &http.Server{
		Addr:    c.listen,
		Handler: newHandler(node{socket: c.nodeSocket}),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			ClientAuth: tls.RequireAndVerifyClientCert,
			ClientCAs:  pool,
			NextProtos: []string{"http/1.1"}, // SPDY and WebSocket upgrade an HTTP/1.1 connection
		},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	return server.ListenAndServeTLS(c.cert, c.key)
}
