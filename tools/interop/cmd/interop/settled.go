package main

import (
	"context"
	"time"

	"google.golang.org/grpc"
	channelz "google.golang.org/grpc/channelz/grpc_channelz_v1"
	"google.golang.org/grpc/channelz/service"
	"google.golang.org/grpc/connectivity"
)

// settling is how long a channel's connections may take that are made beside the first: calls are not held up by an endpoint that does
// not answer.
const settling = 5 * time.Second

// registrar takes the channelz service (gRFC A14) as it is handed to servers: what this process asks of itself needs none.
type registrar struct{ channelz.ChannelzServer }

func (r *registrar) RegisterService(_ *grpc.ServiceDesc, service any) {
	r.ChannelzServer = service.(channelz.ChannelzServer)
}

var channels = func() channelz.ChannelzServer {
	var taken registrar
	service.RegisterChannelzServiceToServer(&taken)
	return taken.ChannelzServer
}()

// settle returns when a channel that is ready makes no connection any more. A balancer leaves those out: calls that began as soon as
// the first endpoint was connected would all go there, whatever the mesh wants.
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

// connecting says whether a channel to this target makes a connection.
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
