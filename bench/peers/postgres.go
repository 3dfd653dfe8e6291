package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// PostgreSQL keeps the documents as JSONB in one table, with the one index that
// the queries need. It is as Debian ships it but for a cache as large as the
// yardstick's and as many connections as there are clients; fsync and
// synchronous_commit are said aloud, because everything depends on them.

// errNoPostgres tells how to get what is missing.
var errNoPostgres = missingTool{"PostgreSQL is not installed; on Debian: apt-get install postgresql"}

// missingTool is a peer that this machine does not have.
type missingTool struct{ advice string }

func (m missingTool) Error() string { return m.advice }

// postgresProgram finds the server: on the path, or where Debian puts it, the
// newest one.
func postgresProgram(context.Context, string) (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.EvalSymlinks(path)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errNoPostgres
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 if it is no number
		return n
	}
	return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }), nil
}

// postgresUser is whom the server runs as: it refuses root. nil is the caller.
func postgresUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("the user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

// initPostgres makes the data directory below dir, which it gives to the user
// that the server runs as.
func initPostgres(ctx context.Context, program, dir string, as *syscall.Credential) error {
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	// Nothing in it is worth a sync yet; the server syncs what it writes.
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(program), "initdb"), "--no-sync",
		"-D", filepath.Join(dir, "data"), "--auth=trust", "--username=bench", "--encoding=UTF8", "--no-locale")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

// postgresArguments makes the server listen on address, for a number of clients.
func postgresArguments(address, dir string, clients int) []string {
	host, port := cutLast(address, ":")
	args := []string{"-D", dir, "-p", port}
	for _, setting := range []string{
		"listen_addresses=" + host, "unix_socket_directories=",
		"max_connections=" + strconv.Itoa(clients+10), // some are kept for administrators
		"shared_buffers=256MB", "fsync=on", "synchronous_commit=on",
	} {
		args = append(args, "-c", setting)
	}
	return args
}

// postgresExec runs statements on a connection of its own.
func postgresExec(ctx context.Context, address string, statements ...string) error {
	conn, err := dialPostgres(ctx, address)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := conn.conn.Exec(ctx, s); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", s, err), conn.Close())
		}
	}
	return conn.Close()
}

// postgresTable makes the table and its index.
func postgresTable(ctx context.Context, address string) error {
	return postgresExec(ctx, address,
		`create table docs (id text primary key, doc jsonb not null)`,
		`create index docs_author_n on docs ((doc->>'author'), ((doc->>'n')::bigint))`)
}

// postgresAnalyze lets the planner know what is in the table, as the server's
// own housekeeping would do after a minute.
func postgresAnalyze(ctx context.Context, address string) error {
	return postgresExec(ctx, address, `vacuum analyze docs`)
}

// The statements of the workloads, prepared by pgx at their first use.
const (
	postgresCreate = `insert into docs values ($1, $2)`
	postgresGet    = `select doc from docs where id = $1`
	postgresQuery  = `select doc from docs where doc->>'author' = $1 order by (doc->>'n')::bigint limit 20`
	postgresCount  = `select count(*) from docs where doc->>'author' = $1`
	postgresBulk   = `insert into docs select id, doc::jsonb from unnest($1::text[], $2::text[]) as rows(id, doc)`
)

// postgresConnection is one connection to PostgreSQL. Like the others, it looks
// at the size of an answer and does not decode it.
type postgresConnection struct{ conn *pgx.Conn }

func dialPostgres(ctx context.Context, address string) (*postgresConnection, error) {
	conn, err := pgx.Connect(ctx, "postgres://bench@"+address+"/postgres?sslmode=disable")
	if err != nil {
		return nil, err
	}
	return &postgresConnection{conn}, nil
}

func (c *postgresConnection) do(ctx context.Context, w workload, s *source) error {
	switch w {
	case workloadCreate:
		doc := s.document()
		body, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		if _, err := c.conn.Exec(ctx, postgresCreate, doc.ID, body); err != nil {
			return err
		}
		s.acknowledged(doc.ID)
		return nil
	case workloadSmall:
		doc := s.small()
		body, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		_, err = c.conn.Exec(ctx, postgresCreate, doc.ID, body)
		return err
	case workloadGet:
		return c.get(ctx, s.existing())
	case workloadQuery:
		return c.rows(ctx, queryLimit, minimumDocument, postgresQuery, s.author())
	case workloadCount:
		return c.rows(ctx, 1, 1, postgresCount, s.author())
	}
	return fmt.Errorf("no %s on PostgreSQL", w)
}

func (c *postgresConnection) get(ctx context.Context, id string) error {
	return c.rows(ctx, 1, minimumDocument, postgresGet, id)
}

// rows makes a query that is answered with want rows of at least minimum bytes.
func (c *postgresConnection) rows(ctx context.Context, want, minimum int, query string, argument string) error {
	rows, err := c.conn.Query(ctx, query, argument)
	if err != nil {
		return err
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		if len(rows.RawValues()[0]) >= minimum {
			found++
		}
	}
	if rows.Err() == nil && found != want {
		return fmt.Errorf("%s: %d rows of at least %d bytes, want %d", query, found, minimum, want)
	}
	return rows.Err()
}

// bulk inserts documents with one statement.
func (c *postgresConnection) bulk(ctx context.Context, docs []document) error {
	var ids, bodies []string
	for i := range docs {
		body, err := json.Marshal(&docs[i])
		if err != nil {
			return err
		}
		ids, bodies = append(ids, docs[i].ID), append(bodies, string(body))
	}
	_, err := c.conn.Exec(ctx, postgresBulk, ids, bodies)
	return err
}

// Close says goodbye.
func (c *postgresConnection) Close() error { return c.conn.Close(context.Background()) }

// postgresSize is what the server's package takes on the disk: the directories
// of its version.
func postgresSize(program string) (size int64, err error) {
	root := filepath.Dir(filepath.Dir(program))
	for _, dir := range []string{root, filepath.Join("/usr/share/postgresql", filepath.Base(root))} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // laid out in another way
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			size += info.Size()
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return size, nil
}
