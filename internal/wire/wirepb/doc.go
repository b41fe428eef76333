// Package wirepb is the generated code of the protobuf subprotocols' frames:
//
//	frame := &wirepb.UpstreamMessage{Message: &wirepb.UpstreamMessage_PingMessage{
//		PingMessage: &wirepb.PingMessage{},
//	}}
//	data, err := proto.Marshal(frame)
//
// Use package wire, which has plain Go types and checks the rules. To generate
// the code again, after a change of webpubsub.proto, have protoc (3.21 or later)
// and the plugin of the module's protobuf version on the PATH:
//
//	go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
//	go generate ./internal/wire/wirepb
package wirepb

//go:generate protoc -I ../../.. --go_out=../../.. --go_opt=paths=source_relative --go_opt=Minternal/wire/wirepb/webpubsub.proto=internal/wire/wirepb internal/wire/wirepb/webpubsub.proto
