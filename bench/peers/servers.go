package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The names of what is measured, in the order in which a round measures it.
const (
	nameDisk       = "disk"
	nameEcho       = "grpc-echo"
	nameYardstick  = "yardstick"
	namePocketBase = "pocketbase"
	namePostgres   = "postgresql"
	nameAtoll      = "atoll"
)

// allNames is every name in the order of a round.
var allNames = []string{nameDisk, nameEcho, nameYardstick, namePocketBase, namePostgres, nameAtoll}

// server is one of the programs that are compared.
type server struct {
	name      string
	workloads []workload // those that it can answer
	stores    bool       // whether it keeps documents

	// build makes the program, if it has to be made, and returns its path.
	build func(ctx context.Context, bin string) (program string, err error)

	// size is what somebody who installs the program gets, in bytes; nil: the
	// program alone.
	size func(program string) (int64, error)

	// user is whom it runs as; nil: the caller.
	user func() (*syscall.Credential, error)

	// initialize makes what it needs below dir before its first start; nil:
	// nothing.
	initialize func(ctx context.Context, program, dir string, as *syscall.Credential) error

	// arguments makes it listen on address and keep its data in dir.
	arguments func(address, dir string) []string

	// prepare makes the collection and its index after the first start, and
	// settle ends what the seeding began; nil: nothing to do.
	prepare, settle func(ctx context.Context, address string) error

	dial func(ctx context.Context, address string) (connection, error)
}

// documentWorkloads are the workloads of all servers that store documents.
var documentWorkloads = []workload{workloadSmall, workloadCreate, workloadGet, workloadQuery, workloadCount}

// servers lists every server, for a number of connections. atollProgram is the
// path of a built Atoll, or empty to build it from the main module.
func servers(atollProgram string, connections int) []server {
	self := func(context.Context, string) (string, error) { return os.Executable() }
	return []server{{
		name: nameEcho, workloads: []workload{workloadEcho}, build: self,
		arguments: func(address, _ string) []string { return []string{commandEcho, address} },
		dial:      func(_ context.Context, address string) (connection, error) { return dialEcho(address) },
	}, {
		name: nameYardstick, workloads: documentWorkloads, stores: true, build: self,
		arguments: func(address, dir string) []string { return []string{commandYardstick, address, dir} },
		dial: func(_ context.Context, address string) (connection, error) {
			return dialHTTP(address, yardstickPaths), nil
		},
	}, {
		name: namePocketBase, workloads: documentWorkloads, stores: true,
		build: func(ctx context.Context, bin string) (string, error) {
			return goBuild(ctx, bin, "", "./pocketbase")
		},
		arguments: func(address, dir string) []string { return []string{address, dir} },
		dial: func(_ context.Context, address string) (connection, error) {
			return dialHTTP(address, pocketbasePaths), nil
		},
	}, {
		name: namePostgres, workloads: documentWorkloads, stores: true,
		build: postgresProgram, size: postgresSize, user: postgresUser, initialize: initPostgres,
		arguments: func(address, dir string) []string { return postgresArguments(address, dir, connections) },
		prepare:   postgresTable, settle: postgresAnalyze,
		dial: func(ctx context.Context, address string) (connection, error) { return dialPostgres(ctx, address) },
	}, {
		name: nameAtoll, workloads: documentWorkloads, stores: true,
		build: func(ctx context.Context, bin string) (string, error) {
			if atollProgram != "" {
				return filepath.Abs(atollProgram)
			}
			return goBuild(ctx, bin, filepath.Join("..", ".."), "./cmd/atoll")
		},
		arguments: func(address, dir string) []string {
			return []string{"dev", "--listen", address, "--data", dir}
		},
		prepare: firestoreIndex,
		dial:    func(_ context.Context, address string) (connection, error) { return dialFirestore(address) },
	}}
}

// serverOf returns the server with a name, of those of servers.
func serverOf(name, atollProgram string, connections int) server {
	all := servers(atollProgram, connections)
	return all[slices.IndexFunc(all, func(s server) bool { return s.name == name })]
}

// goBuild builds a package into the directory bin. dir is the module's
// directory, relative to this module's.
func goBuild(ctx context.Context, bin, dir, pkg string) (string, error) {
	module, err := moduleDir(ctx)
	if err != nil {
		return "", err
	}
	program := filepath.Join(bin, filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, pkg)
	cmd.Dir = filepath.Join(module, dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, output)
	}
	return program, nil
}

// moduleDir is the directory of this module, which the benchmark must be run
// in: it builds the peers from source.
func moduleDir(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	}
	path, dir, _ := strings.Cut(strings.TrimSpace(string(output)), " ")
	if path != "atoll/bench/peers" {
		return "", errors.New("run this in bench/peers: the peers are built from source")
	}
	return dir, nil
}

// parseList splits a comma-separated flag, each part of which must be one of
// the allowed words. The empty text is all of them.
func parseList[T ~string](flag, value string, allowed []T) ([]T, error) {
	if value == "" {
		return allowed, nil
	}
	var list []T
	for word := range strings.SplitSeq(value, ",") {
		if !slices.Contains(allowed, T(word)) {
			return nil, fmt.Errorf("--%s: %q is none of %v", flag, word, allowed)
		}
		list = append(list, T(word))
	}
	return list, nil
}
