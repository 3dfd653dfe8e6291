package admin_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"atoll/internal/testtool"
)

// tab is a page in a browser that a test drives by the DevTools protocol, over
// two pipes.
type tab struct {
	t       *testing.T
	in      *os.File
	session string

	mu      sync.Mutex // guards what follows
	next    int
	waiting map[int]chan reply
	errors  []string // exceptions and refusals that the page told of
}

type reply struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// newTab starts a browser with an empty page.
func newTab(t *testing.T) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	program := testtool.Need(t, "chromium", "chromium-browser", "google-chrome")
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "atoll-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+profile,
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // as descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &tab{t: t, in: in, waiting: map[int]chan reply{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.listen(out)
	}()
	t.Cleanup(func() {
		in.Close() // without its other end the browser goes
		cmd.Process.Kill()
		cmd.Wait()
		out.Close()
		<-done
		// Its other processes go a little later than the first, and write until then.
		for range 50 {
			if os.RemoveAll(profile) == nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// listen hands answers to those who wait for them.
func (b *tab) listen(out *os.File) {
	r := bufio.NewReader(out)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m reply
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		switch {
		case m.ID != 0:
			b.waiting[m.ID] <- m
			delete(b.waiting, m.ID)
		case m.Method == "Runtime.exceptionThrown", m.Method == "Log.entryAdded" && bytes.Contains(m.Params, []byte(`"level":"error"`)):
			b.errors = append(b.errors, string(m.Params))
		}
		b.mu.Unlock()
	}
}

// call calls a method of the protocol, which must succeed.
func (b *tab) call(method string, params any, result any) {
	b.t.Helper()
	if err := b.try(method, params, result); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) try(method string, params any, result any) error {
	if params == nil {
		params = map[string]any{}
	}
	b.mu.Lock()
	b.next++
	request := map[string]any{"id": b.next, "method": method, "params": params}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	answer := make(chan reply, 1)
	b.waiting[b.next] = answer
	text, err := json.Marshal(request)
	if err == nil {
		_, err = b.in.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-time.After(time.Minute):
		return fmt.Errorf("%s: no answer", method)
	}
}

// screen sets the size of the window and whether colours are dark.
func (b *tab) screen(width, height int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
}

// eval returns what an expression is; promises are waited for.
func (b *tab) eval(expression string) any {
	b.t.Helper()
	v, err := b.evaluate(expression)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *tab) evaluate(expression string) (any, error) {
	var r struct {
		Result           struct{ Value any } `json:"result"`
		ExceptionDetails *struct {
			Exception struct{ Description string } `json:"exception"`
		} `json:"exceptionDetails"`
	}
	err := b.try("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &r)
	if err == nil && r.ExceptionDetails != nil {
		err = fmt.Errorf("%s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	return r.Result.Value, err
}

// until waits for an expression to be true, and says what the page shows if it
// does not come true. While a page is loaded nothing is.
func (b *tab) until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if is, err := b.evaluate("Boolean(" + expression + ")"); err == nil && is == true {
			return
		}
	}
	b.t.Fatalf("never true: %s; the page shows\n%v\nand told %q", expression, b.eval("document.body.innerText"), b.told())
}

// shows waits for a text on the page.
func (b *tab) shows(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.body.innerText.includes(%s)", quoted(text)))
}

func quoted(text string) string {
	q, _ := json.Marshal(text)
	return string(q)
}

// keyCodes are the codes of keys that are no characters.
var keyCodes = map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Backspace": 8}

// press presses keys one after the other: names as in keyCodes, with Shift+ or
// Control+ in front.
func (b *tab) press(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		modifiers := 0
		for name, bit := range map[string]int{"Shift+": 8, "Control+": 2} {
			if rest, ok := strings.CutPrefix(key, name); ok {
				key, modifiers = rest, modifiers|bit
			}
		}
		event := map[string]any{"key": key, "code": key, "windowsVirtualKeyCode": keyCodes[key], "modifiers": modifiers, "type": "rawKeyDown"}
		switch {
		case key == "Enter" && modifiers == 0:
			event["type"], event["text"] = "keyDown", "\r"
		case key == "a" && modifiers == 2:
			event["commands"] = []string{"selectAll"}
		case key == " ":
			event["type"], event["text"], event["code"] = "keyDown", " ", "Space"
		}
		b.call("Input.dispatchKeyEvent", event, nil)
		delete(event, "text")
		delete(event, "commands")
		event["type"] = "keyUp"
		b.call("Input.dispatchKeyEvent", event, nil)
	}
}

// write types a text where the focus is.
func (b *tab) write(text string) {
	b.t.Helper()
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// tabTo presses Tab until the focus is on what the selector names.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	for range 200 {
		if b.eval("document.activeElement?.matches("+quoted(selector)+")") == true {
			return
		}
		b.press("Tab")
	}
	b.t.Fatalf("no key leads to %s", selector)
}

// picture returns what the window shows, as PNG.
func (b *tab) picture() []byte {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}

// told returns the errors that the page told of.
func (b *tab) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.errors
}
