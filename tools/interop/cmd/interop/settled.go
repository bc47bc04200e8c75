package main

import (
	"context"
	"time"

	"google.golang.org/grpc"
	channelz "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/channelz/service"
	"google.golang.org/grpc/connectivity"
)

// settling is how long a channel may take to make its connections after the first: an endpoint
// that does not answer must not hold up the calls.
const settling = 5 * time.Second

// registrar captures the channelz service (gRFC A14), which is otherwise registered with a
// server: this process queries itself without one.
type registrar struct{ channelz.ChannelzServer }

func (r *registrar) RegisterService(_ *grpc.ServiceDesc, service any) {
	r.ChannelzServer = service.(channelz.ChannelzServer)
}

var channels = func() channelz.ChannelzServer {
	var taken registrar
	service.RegisterChannelzServiceToServer(&taken)
	return taken.ChannelzServer
}()

// settle returns when a channel is ready and makes no more connections. A balancer leaves out
// endpoints that are still connecting: calls that began as soon as the first endpoint was
// connected would all go there, whatever the mesh configures.
func (c *channel) settle(ctx context.Context) {
	if c.conn.GetState() != connectivity.Ready {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for connecting(ctx, c.conn.Target()) {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// connecting reports whether a channel to this target is making a connection.
func connecting(ctx context.Context, target string) bool {
	for start := int64(0); ; {
		page, err := channels.GetTopChannels(ctx, &channelz.GetTopChannelsRequest{StartChannelId: start})
		if err != nil {
			return false
		}
		for _, one := range page.GetChannel() {
			start = one.GetRef().GetChannelId() + 1
			if one.GetData().GetTarget() == target && connects(ctx, one) {
				return true
			}
		}
		if page.GetEnd() || len(page.GetChannel()) == 0 {
			return false
		}
	}
}

func connects(ctx context.Context, one *channelz.Channel) bool {
	for _, ref := range one.GetSubchannelRef() {
		answer, err := channels.GetSubchannel(ctx, &channelz.GetSubchannelRequest{SubchannelId: ref.GetSubchannelId()})
		if err == nil && answer.GetSubchannel().GetData().GetState().GetState() == channelz.ChannelConnectivityState_CONNECTING {
			return true
		}
	}
	return false
}
