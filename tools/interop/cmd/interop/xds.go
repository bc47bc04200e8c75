package main

import (
	"net/http"

	statuspb "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc/xds/csds"
	"google.golang.org/protobuf/encoding/protojson"
)

// resource is one xDS resource as seen by one of the program's xDS clients.
type resource struct {
	// Scope names the client: a channel's target, or `#server`.
	Scope   string `json:"scope"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version"`
	// Status is REQUESTED, DOES_NOT_EXIST, ACKED or NACKED (Envoy's ClientResourceStatus).
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// xdsState answers with the CSDS status (gRFC A40) of this process: a list of resources, or with
// `?full` everything.
func xdsState(w http.ResponseWriter, r *http.Request, server *csds.ClientStatusDiscoveryServer) {
	state, err := server.FetchClientStatus(r.Context(), &statuspb.ClientStatusRequest{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if r.URL.Query().Has("full") {
		text, err := protojson.Marshal(state)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(text)
		return
	}
	all := []resource{}
	for _, client := range state.GetConfig() {
		for _, config := range client.GetGenericXdsConfigs() {
			all = append(all, resource{
				Scope: client.GetClientScope(), Type: config.GetTypeUrl(), Name: config.GetName(),
				Version: config.GetVersionInfo(), Status: config.GetClientStatus().String(),
				Error: config.GetErrorState().GetDetails(),
			})
		}
	}
	answer(w, all)
}
