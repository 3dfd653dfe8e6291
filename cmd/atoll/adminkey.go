package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/gateway/firestore"
)

func adminKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin-key",
		Short: "Make a new administrator's key",
		Args:  arguments(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var data string
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new administrator's key, which ends the old one",
		Long: `rotate makes a new administrator's key for "atoll serve", and prints it: it is
stored only as a hash. A node that is running takes it within a second, and the old
key ends.`,
		Example: `  atoll admin-key rotate --data /var/lib/atoll`,
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if info, err := os.Stat(data); err != nil || !info.IsDir() {
				return atoll.Errorf(atoll.NotFound, "there is no data directory %s; name it with --data", data)
			}
			key, err := firestore.MakeAdminKey(data)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), key)
			return err
		},
	}
	rotate.Flags().StringVar(&data, "data", defaultData, "data `directory` of the node")
	cmd.AddCommand(rotate)
	return cmd
}
