package rest

import (
	"bytes"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// The clients for browsers and phones send from their transactions writes with
// a field that the public definition of Write lacks: {"verify": name}, number
// 5, of the same oneof as update and delete. Parsing JSON needs a definition,
// so there is a second one here with that field. What is parsed with it is
// turned into the ordinary message, in which the field is an unknown one: that
// is how it arrives over gRPC too.
const (
	verifyName   = "verify"
	verifyNumber = 5
)

// verifyMark is in every JSON that may hold a verify: the second definition
// takes longer, and hardly any request needs it.
var verifyMark = []byte(`"` + verifyName + `"`)

// files looks for definitions in its own files before the global ones.
type files struct{ *protoregistry.Files }

func (f files) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if d, err := f.Files.FindFileByPath(path); err == nil {
		return d, nil
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

func (f files) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := f.Files.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}

// withVerify returns the definition of the service with the field. It fails
// only if the definition has changed in a way that leaves no place for it.
func withVerify() (protoreflect.FileDescriptor, error) {
	own := files{new(protoregistry.Files)}
	write := protodesc.ToFileDescriptorProto(firestorepb.File_google_firestore_v1_write_proto)
	for _, m := range write.GetMessageType() {
		if m.GetName() == "Write" {
			// First, because the fields of a oneof must stand together and its
			// own are the first ones.
			m.Field = append([]*descriptorpb.FieldDescriptorProto{{
				Name: proto.String(verifyName), JsonName: proto.String(verifyName), Number: proto.Int32(verifyNumber),
				Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
				OneofIndex: proto.Int32(0), // operation
			}}, m.Field...)
		}
	}
	for _, p := range []*descriptorpb.FileDescriptorProto{
		write, protodesc.ToFileDescriptorProto(firestorepb.File_google_firestore_v1_firestore_proto),
	} {
		d, err := protodesc.NewFile(p, own)
		if err != nil {
			return nil, err
		}
		if err := own.RegisterFile(d); err != nil {
			return nil, err
		}
	}
	return own.FindFileByPath(firestorepb.File_google_firestore_v1_firestore_proto.Path())
}

// parser reads messages from JSON.
type parser struct {
	verify protoreflect.MessageDescriptors
}

// maxNesting is how deep messages of a request may lie within each other. A
// level of a document takes two, and 20 levels are allowed.
const maxNesting = 200

// parse reads a message of the service; it replaces what m holds.
func (p parser) parse(body []byte, m proto.Message) error {
	options := protojson.UnmarshalOptions{RecursionLimit: maxNesting}
	d := p.verify.ByName(m.ProtoReflect().Descriptor().Name())
	if d == nil || !bytes.Contains(body, verifyMark) {
		return options.Unmarshal(body, m)
	}
	second := dynamicpb.NewMessage(d)
	if err := options.Unmarshal(body, second); err != nil {
		return err
	}
	wire, err := proto.Marshal(second)
	if err != nil {
		return err
	}
	return proto.Unmarshal(wire, m)
}
