package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// rawCodec sends and receives messages as raw bytes. Its name keeps the usual content type.
type rawCodec struct{}

func (rawCodec) Marshal(message any) ([]byte, error) { return message.([]byte), nil }

func (rawCodec) Unmarshal(data []byte, into any) error {
	*into.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (rawCodec) Name() string { return "proto" }

// services reads the descriptor set of the image.
func services(path string) (*protoregistry.Files, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("descriptor set: %w", err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("descriptor set %s: %w", path, err)
	}
	return protodesc.NewFiles(&set)
}

// method finds `package.Service/Method`.
func method(files *protoregistry.Files, name string) (protoreflect.MethodDescriptor, error) {
	service, short, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !ok {
		return nil, fmt.Errorf("method %q: write package.Service/Method", name)
	}
	found, err := files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, fmt.Errorf("unknown service %s", service)
	}
	descriptor, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is not a service", service)
	}
	if method := descriptor.Methods().ByName(protoreflect.Name(short)); method != nil {
		return method, nil
	}
	return nil, fmt.Errorf("service %s has no method %s", service, short)
}

// encode converts request messages from JSON.
func encode(method protoreflect.MethodDescriptor, texts []json.RawMessage) ([][]byte, error) {
	if len(texts) == 0 && !method.IsStreamingClient() {
		return [][]byte{nil}, nil
	}
	if len(texts) > 1 && !method.IsStreamingClient() {
		return nil, fmt.Errorf("%s takes one message, not %d", method.FullName(), len(texts))
	}
	all := make([][]byte, 0, len(texts))
	for at, text := range texts {
		message := dynamicpb.NewMessage(method.Input())
		if err := protojson.Unmarshal(text, message); err != nil {
			return nil, fmt.Errorf("message %d is not a %s: %w", at, method.Input().FullName(), err)
		}
		data, err := proto.Marshal(message)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// decode converts a response message to JSON.
func decode(method protoreflect.MethodDescriptor, data []byte) json.RawMessage {
	message := dynamicpb.NewMessage(method.Output())
	err := proto.Unmarshal(data, message)
	if err == nil {
		if text, failed := protojson.Marshal(message); failed == nil {
			return text
		}
	}
	text, _ := json.Marshal(map[string]string{"error": fmt.Sprintf("not a %s: %v", method.Output().FullName(), err)})
	return text
}
