// Package analytics is the definition of the gRPC service
// atoll.v1.Analytics: questions about documents that Firestore has no words for.
// Package firestore serves it beside Firestore's own, and package rest gives it
// an address. analytics.proto says what it means; the rest is generated from it
// by protoc with the plugins protoc-gen-go and protoc-gen-go-grpc.
package analytics
