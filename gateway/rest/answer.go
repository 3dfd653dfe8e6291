package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"atoll"
)

func (f form) options() protojson.MarshalOptions {
	return protojson.MarshalOptions{Multiline: f.pretty, UseEnumNumbers: f.enums}
}

// unary calls a method with one answer.
func (d *Door) unary(ctx context.Context, w http.ResponseWriter, c call) {
	answer := c.method.answer.New().Interface()
	if err := d.service.Invoke(ctx, c.method.name, c.request, answer); err != nil {
		d.fail(w, c, err)
		return
	}
	b, err := c.form.options().Marshal(answer)
	if err != nil {
		d.fail(w, c, unwritable(err))
		return
	}
	d.write(w, http.StatusOK, b)
}

// unwritable is the error of an answer that has no form in JSON.
func unwritable(err error) error {
	return &atoll.Error{Kind: atoll.Internal, Msg: "the answer cannot be written as JSON", Detail: err.Error()}
}

// write sends a whole answer. If the client has gone there is nobody to tell.
func (d *Door) write(w http.ResponseWriter, httpStatus int, b []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(httpStatus)
	send(w, d.stall, b)
}

const contentType = "application/json; charset=UTF-8"

// part is how many bytes a client must read within the time for it.
const part = 256 << 10

// send writes bytes, or returns errGone if the client takes too long for a part
// of them. The deadline ends with the request. Writers without a connection, as
// in some tests, have none; the error of setting it says no more than that.
func send(w http.ResponseWriter, stall time.Duration, b []byte) error {
	control := http.NewResponseController(w)
	for {
		control.SetWriteDeadline(time.Now().Add(stall))
		n := min(len(b), part)
		if _, err := w.Write(b[:n]); err != nil {
			return errGone
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
	}
}

// errGone tells that the client does not read any more.
var errGone = errors.New("the client has gone")

// received is what a stream gave: a message, or why there are no more.
type received struct {
	m   proto.Message
	err error // io.EOF at the end
}

// ahead is how many messages of a stream may wait for a client that is slow to
// read; more wait where they are made.
const ahead = 4

// open calls a method with a stream of answers. The channel is closed behind
// the error that ends it, which may be missing once ctx has ended.
func (d *Door) open(ctx context.Context, c call) (<-chan received, error) {
	s, err := d.service.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, c.method.name)
	if err != nil {
		return nil, err
	}
	if err := s.SendMsg(c.request); err != nil && !errors.Is(err, io.EOF) { // after io.EOF, RecvMsg tells why
		return nil, err
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	out := make(chan received, ahead)
	go func() {
		defer close(out)
		for {
			next := received{m: c.method.answer.New().Interface()}
			next.err = s.RecvMsg(next.m)
			select {
			case out <- next:
			case <-ctx.Done():
				return
			}
			if next.err != nil {
				return
			}
		}
	}()
	return out, nil
}

// stream calls a method with a stream of answers and writes them as one array.
// ctx is of the request: it ends when the handler returns, and the call with it.
func (d *Door) stream(ctx context.Context, w http.ResponseWriter, c call) {
	in, err := d.open(ctx, c)
	if err != nil {
		d.fail(w, c, err)
		return
	}
	// The first message decides: an error before it has a status of its own.
	first, ok := <-in
	if !ok {
		return // the client has gone
	}
	if first.err != nil && !errors.Is(first.err, io.EOF) {
		d.fail(w, c, first.err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	a := array{w: w, control: http.NewResponseController(w), stall: d.stall, form: c.form}
	a.copy(first, in)
}

// array writes messages as one JSON array.
type array struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	form    form
	buf     []byte
	some    bool // there is an element
}

// copy writes what comes until the stream ends. An error in the middle becomes
// the last element, and the connection is cut off: clients that look only at
// the whole array would take it for complete.
func (a *array) copy(next received, in <-chan received) {
	for {
		err := next.err
		if err == nil {
			err = a.element(next.m)
		}
		switch {
		case errors.Is(err, io.EOF):
			a.end()
			return
		case errors.Is(err, errGone):
			panic(http.ErrAbortHandler)
		case err != nil:
			a.put(problem(err))
			a.end()
			a.control.Flush()
			panic(http.ErrAbortHandler)
		}
		var ok bool
		select {
		case next, ok = <-in:
		default: // nothing is at hand: let the client have what there is
			a.control.Flush()
			next, ok = <-in
		}
		if !ok { // the client has gone
			panic(http.ErrAbortHandler)
		}
	}
}

func (a *array) element(m proto.Message) error {
	b, err := a.form.options().MarshalAppend(a.buf[:0], m)
	if err != nil {
		return unwritable(err)
	}
	a.buf = b
	return a.put(b)
}

// put writes an element.
func (a *array) put(b []byte) error {
	before := "[\n"
	if a.some {
		before = ",\n"
	}
	a.some = true
	if err := send(a.w, a.stall, []byte(before)); err != nil {
		return err
	}
	return send(a.w, a.stall, b)
}

func (a *array) end() {
	text := "[]\n"
	if a.some {
		text = "\n]\n"
	}
	send(a.w, a.stall, []byte(text)) // an error is of a client who has gone
}

// httpStatus is what a code becomes, as google/rpc/code.proto has it.
var httpStatus = map[codes.Code]int{
	codes.Canceled: 499, codes.InvalidArgument: http.StatusBadRequest, codes.DeadlineExceeded: http.StatusGatewayTimeout,
	codes.NotFound: http.StatusNotFound, codes.AlreadyExists: http.StatusConflict, codes.PermissionDenied: http.StatusForbidden,
	codes.ResourceExhausted: http.StatusTooManyRequests, codes.FailedPrecondition: http.StatusBadRequest,
	codes.Aborted: http.StatusConflict, codes.OutOfRange: http.StatusBadRequest, codes.Unimplemented: http.StatusNotImplemented,
	codes.Unavailable: http.StatusServiceUnavailable, codes.Unauthenticated: http.StatusUnauthorized,
}

// statusOf reads an error of this door or of the service.
func statusOf(err error) *status.Status {
	var own *atoll.Error
	if errors.As(err, &own) {
		return status.New(codes.Code(own.Kind), own.Msg) // this door's kinds have the numbers of codes
	}
	return status.Convert(err)
}

func httpStatusOf(c codes.Code) int {
	if s, ok := httpStatus[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// problem is the body of an error.
func problem(err error) []byte {
	s := statusOf(err)
	return problemText(httpStatusOf(s.Code()), code.Code_name[int32(s.Code())], s.Message())
}

func problemText(httpStatus int, name, message string) []byte {
	var p struct {
		Error struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Status  string `json:"status"`
		} `json:"error"`
	}
	p.Error.Code, p.Error.Message, p.Error.Status = httpStatus, message, name
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return []byte("{}") // a struct of texts and a number always has a form in JSON
	}
	return b
}

// fail answers with an error: in an array if the answer would have been one.
func (d *Door) fail(w http.ResponseWriter, c call, err error) {
	b := problem(err)
	if c.method != nil && c.method.streams {
		b = append(append([]byte("["), b...), ']')
	}
	s := httpStatusOf(statusOf(err).Code())
	if s == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="atoll"`)
	}
	if wait, ok := retryAfter(err); ok {
		w.Header().Set("Retry-After", strconv.FormatInt(wait, 10))
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
	}
	d.write(w, s, append(b, '\n'))
}

// retryAfter returns how long to wait before the request is sent again, in
// whole seconds and not too short, if an error says so (google.rpc.RetryInfo)
// and nothing was done.
func retryAfter(err error) (seconds int64, ok bool) {
	s := statusOf(err)
	if s.Code() != codes.ResourceExhausted && s.Code() != codes.Unavailable {
		return 0, false
	}
	for _, detail := range s.Details() {
		if info, is := detail.(*errdetails.RetryInfo); is && info.GetRetryDelay().CheckValid() == nil {
			wait := info.GetRetryDelay().AsDuration()
			return int64(max(wait+time.Second-1, time.Second) / time.Second), true
		}
	}
	return 0, false
}

// refuse answers a request that is not looked at.
func (d *Door) refuse(w http.ResponseWriter, httpStatus int, message string) {
	d.write(w, httpStatus, append(problemText(httpStatus, code.Code_PERMISSION_DENIED.String(), message), '\n'))
}
