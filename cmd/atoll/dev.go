package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"atoll/gateway/firestore"
	"atoll/host"
)

func devCommand() *cobra.Command {
	var listen, data string
	var subnets int
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a node for development on this machine",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return dev(cmd.Context(), listen, host.Options{Dir: data, Subnets: subnets})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:4943", "address to listen on")
	cmd.Flags().StringVar(&data, "data", "./.atoll", "data directory")
	cmd.Flags().IntVar(&subnets, "subnets", 1, "number of subnets")
	return cmd
}

// dev serves until ctx ends.
func dev(ctx context.Context, listen string, opt host.Options) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	h, err := host.Start(opt)
	if err != nil {
		l.Close()
		return err
	}
	defer h.Close()
	server := firestore.New(firestore.Options{Router: h.Router, Auth: firestore.Auth{Dev: true}}).Server()
	context.AfterFunc(ctx, server.GracefulStop)
	fmt.Printf("atoll serves Firestore on %s; set FIRESTORE_EMULATOR_HOST=%s\n", l.Addr(), l.Addr())
	return server.Serve(l)
}
