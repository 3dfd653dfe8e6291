package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// impureImports bring in the outside world, scheduling, or chance.
var impureImports = strings.Fields("os os/exec os/signal os/user net net/http net/netip io/ioutil log log/slog " +
	"math/rand math/rand/v2 crypto/rand hash/maphash sync sync/atomic runtime runtime/debug unsafe syscall plugin reflect context testing")

// impureUses are functions and variables of packages that are otherwise harmless.
var impureUses = map[string]string{
	"time.Now": "reads the clock", "time.Since": "reads the clock", "time.Until": "reads the clock",
	"time.Sleep": "waits", "time.After": "waits", "time.AfterFunc": "waits", "time.Tick": "waits",
	"time.NewTimer": "waits", "time.NewTicker": "waits",
	"time.Local": "knows the time zone", "time.LoadLocation": "knows the time zone",
	"maps.Keys": mapOrder, "maps.Values": mapOrder, "maps.All": mapOrder,
}

const (
	mapOrder = "ranges over a map"
	// harmless, in a comment on the line, says that the author has thought of the order.
	harmless = "order does not matter"
)

// checkPure rejects what makes two replicas differ: clocks, scheduling, map
// order, files for one platform only, and floats (Go may fuse x*y+z on some
// machines and not on others).
func checkPure(r room, dir string, p *build.Package, report func(string, ...any)) {
	if others := slices.Concat(p.IgnoredGoFiles, p.CgoFiles, p.SFiles); len(others) > 0 {
		report("%s is pure and may not have files for one platform: %s", r.path, strings.Join(others, " "))
	}
	c := checker{room: r, fset: token.NewFileSet(), report: report, allowed: map[ast.Node]bool{}}
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(c.fset, filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			report("%s: %v", r.path, err)
			return
		}
		files = append(files, f)
	}
	imp, err := exports()
	if err != nil {
		report("%s: %v", r.path, err)
		return
	}
	c.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{
		Importer: importer.ForCompiler(c.fset, "gc", imp),
		Error:    func(error) {}, // go on behind an error; Check returns the first
	}
	if _, err := conf.Check(r.path, c.fset, files, c.info); err != nil {
		report("%s cannot be judged, its types do not check: %v", r.path, err)
	}
	for _, f := range files {
		c.file(f)
	}
}

// checker looks for impurity in the files of one room.
type checker struct {
	room    room
	fset    *token.FileSet
	info    *types.Info
	report  func(string, ...any)
	vouched map[int]bool      // lines of the current file that carry the comment
	allowed map[ast.Node]bool // expressions that their surroundings make harmless
}

func (c *checker) file(f *ast.File) {
	c.vouched = map[int]bool{}
	for _, g := range f.Comments {
		for _, line := range g.List {
			if strings.Contains(line.Text, harmless) {
				c.vouched[c.fset.Position(line.Pos()).Line] = true
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		c.node(n)
		return n != nil
	})
}

func (c *checker) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType:
		c.found(n, "uses a goroutine, select or channel")
	case *ast.CallExpr:
		c.call(n)
	case *ast.SelectorExpr:
		c.selector(n)
	case *ast.RangeStmt:
		if tv, ok := c.info.Types[n.X]; ok && isMap(tv.Type) && !c.vouched[c.fset.Position(n.Pos()).Line] {
			c.found(n, mapOrder)
		}
	case *ast.BinaryExpr:
		c.arithmetic(n, n.Op, n)
	case *ast.AssignStmt:
		if n.Tok != token.ASSIGN && n.Tok != token.DEFINE {
			c.arithmetic(n, n.Tok, n.Lhs[0])
		}
	case *ast.IncDecStmt:
		c.arithmetic(n, n.Tok, n.X)
	}
}

// call notes which arguments are harmless where they stand: a map's keys that
// are sorted at once, and a float product whose rounding a conversion forces.
func (c *checker) call(n *ast.CallExpr) {
	if fun, ok := ast.Unparen(n.Fun).(*ast.SelectorExpr); ok && strings.HasPrefix(c.name(fun), "slices.Sorted") && len(n.Args) > 0 {
		if inner, ok := n.Args[0].(*ast.CallExpr); ok {
			c.allowed[inner.Fun] = true
		}
	}
	if tv, ok := c.info.Types[n.Fun]; ok && tv.IsType() && len(n.Args) == 1 {
		c.allowed[ast.Unparen(n.Args[0])] = true
	}
}

func (c *checker) selector(n *ast.SelectorExpr) {
	why, ok := impureUses[c.name(n)]
	if !ok || c.allowed[n] || c.vouched[c.fset.Position(n.Pos()).Line] && why == mapOrder {
		return
	}
	c.found(n, why)
}

// name returns package.Name for a selector of another package.
func (c *checker) name(n *ast.SelectorExpr) string {
	obj := c.info.Uses[n.Sel]
	if obj == nil || obj.Pkg() == nil || obj.Parent() != obj.Pkg().Scope() {
		return ""
	}
	return obj.Pkg().Path() + "." + obj.Name()
}

// arithmetic rejects float arithmetic; a room that may have floats may only
// not multiply without an explicit conversion, which forbids fusing.
func (c *checker) arithmetic(n ast.Node, op token.Token, of ast.Expr) {
	tv, ok := c.info.Types[of]
	if !ok || tv.Value != nil || !isFloat(tv.Type) {
		return
	}
	switch {
	case c.room.kind == pure:
		c.found(n, "computes with floats")
	case (op == token.MUL || op == token.MUL_ASSIGN) && !c.allowed[n]:
		c.found(n, "multiplies floats where an addition may be fused with it: write float64(x * y)")
	}
}

func (c *checker) found(n ast.Node, what string) {
	at := c.fset.Position(n.Pos())
	c.report("%s:%d: the pure room %s %s", filepath.Base(at.Filename), at.Line, c.room.path, what)
}

func isMap(t types.Type) bool {
	_, ok := t.Underlying().(*types.Map)
	return ok
}

func isFloat(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&(types.IsFloat|types.IsComplex) != 0
}

// exports finds the compiled types of everything that pure rooms import. They
// come from the go command, so that the guard sees the same types as the build.
var exports = sync.OnceValues(func() (importer.Lookup, error) {
	args := []string{"list", "-e", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}\t{{.Export}}{{end}}", "maps", "slices", "time"}
	for _, r := range rooms {
		if _, err := os.Stat(filepath.Join(repository, r.path)); err == nil && r.kind != worldly {
			args = append(args, "./"+r.path)
		}
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = repository
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			files[path] = file
		}
	}
	return func(path string) (io.ReadCloser, error) {
		file, ok := files[path]
		if !ok {
			return nil, fmt.Errorf("no compiled package %s", path)
		}
		return os.Open(file)
	}, nil
})
