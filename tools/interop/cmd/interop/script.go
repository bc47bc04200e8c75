package main

import (
	"errors"
	"hash/crc32"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// serverCodec passes raw messages through and uses protobuf for grpc-go's own services (health).
type serverCodec struct{ rawCodec }

func (c serverCodec) Marshal(message any) ([]byte, error) {
	if message, ok := message.(proto.Message); ok {
		return proto.Marshal(message)
	}
	return c.rawCodec.Marshal(message)
}

func (c serverCodec) Unmarshal(data []byte, into any) error {
	if into, ok := into.(proto.Message); ok {
		return proto.Unmarshal(data, into)
	}
	return c.rawCodec.Unmarshal(data, into)
}

// answer applies the call's script to this attempt. grpc-go sends an error without messages as
// Trailers-Only unless headers were sent before, and cannot reset a stream: a script that asks
// for that is rejected.
func (s *server) answer(stream grpc.ServerStream, entry open) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	var told script
	if text := first(md, scriptHeader); text != "" {
		if err := errors.Join(readStrictly([]byte(text), &told), told.beyond()); err != nil {
			return grpcstatus.Errorf(codes.InvalidArgument, "metadata %s: %v", scriptHeader, err)
		}
	}
	if told.FailFirst != nil && entry.entry.Attempt > *told.FailFirst {
		told.Status, told.Message, told.Shape, told.DelayMs, told.HoldMs = nil, nil, "", 0, 0
	}
	if !wait(stream, told.DelayMs) {
		return stream.Context().Err()
	}
	stream.SetTrailer(metadataOf(told.Trailers))
	headers := metadata.Join(metadataOf(told.Headers), metadata.Pairs(
		serverHeader, s.who.Pod, workloadHeader, s.who.Workload, attemptHeader, strconv.Itoa(int(entry.entry.Attempt))))
	if identity := s.who.identity(); identity != "" {
		headers.Set(podHeader, identity)
	}
	return s.send(stream, told, headers, entry.entry.Received)
}

func (s *server) send(stream grpc.ServerStream, told script, headers metadata.MD, received uint32) error {
	failure := told.failure()
	count := uint32(1)
	if told.Messages != nil {
		count = *told.Messages
	}
	switch {
	case failure != nil && (told.Shape == "" || told.Shape == "trailers-only"):
		stream.SetTrailer(headers) // the only metadata of a Trailers-Only response
		return failure
	case failure != nil && told.Shape == "headers-then-error":
		count = 0
	}
	if err := stream.SendHeader(headers); err != nil {
		return err
	}
	for sequence := range count {
		if err := stream.SendMsg(s.reply(told, sequence, received)); err != nil {
			return err
		}
		if sequence+1 < count && !wait(stream, told.GapMs) {
			return stream.Context().Err()
		}
	}
	if !wait(stream, told.HoldMs) {
		return stream.Context().Err()
	}
	return failure
}

func (t script) failure() error {
	if t.Status == nil || *t.Status == 0 {
		return nil
	}
	message := "scripted"
	if t.Message != nil {
		message = *t.Message
	}
	return grpcstatus.Error(codes.Code(*t.Status), message)
}

// wait returns false when the call ended meanwhile.
func wait(stream grpc.ServerStream, ms uint64) bool {
	if ms == 0 {
		return true
	}
	select {
	case <-stream.Context().Done():
		return false
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return true
	}
}

func metadataOf(given []pair) metadata.MD {
	md := metadata.MD{}
	for _, pair := range given {
		md.Append(pair[0], read(pair[0], pair[1]))
	}
	return md
}

// reply has only field 15, the stamp (fixtures/proto/mypackage/stamp.proto), which the replies of
// all services carry.
func (s *server) reply(told script, sequence, received uint32) []byte {
	payload := []byte{}
	if told.Size != nil {
		payload = make([]byte, *told.Size)
		for at := range payload {
			payload[at] = byte(uint64(at)*31 + uint64(sequence))
		}
	}
	var stamp []byte
	for field, text := range []string{s.who.Pod, s.who.Workload, s.who.Version} {
		stamp = protowire.AppendTag(stamp, protowire.Number(field+1), protowire.BytesType)
		stamp = protowire.AppendString(stamp, text)
	}
	for field, number := range []uint32{sequence, received} {
		stamp = protowire.AppendTag(stamp, protowire.Number(field+4), protowire.VarintType)
		stamp = protowire.AppendVarint(stamp, uint64(number))
	}
	stamp = protowire.AppendTag(stamp, 6, protowire.BytesType)
	stamp = protowire.AppendBytes(stamp, payload)
	stamp = protowire.AppendTag(stamp, 7, protowire.Fixed32Type)
	stamp = protowire.AppendFixed32(stamp, crc32.ChecksumIEEE(payload))
	return protowire.AppendBytes(protowire.AppendTag(nil, 15, protowire.BytesType), stamp)
}
