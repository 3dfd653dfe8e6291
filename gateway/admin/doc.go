// Package admin is the operator's door: health, metrics, viewers of state, log
// and store, profiles, the change feed as a stream, and what the console shows.
// Documents are written below /data alone, which has Firestore's REST interface
// and acts as the administrator.
//
// # Who may
//
// A node on a developer's machine can be reached by every web page that the
// developer visits. So every request is held to this:
//
//   - The Host header names a loopback address or localhost, with the port on
//     which the node listens: a page that rebinds its own name to 127.0.0.1 is
//     refused.
//   - Origin, if there, is the door's own, and Sec-Fetch-Site, if there, says
//     that the request comes from the door's own pages or from nowhere. Only a
//     link that somebody follows may come from elsewhere.
//   - All but /healthz and the page that asks to sign in needs a session. A
//     browser gets one from a link that works once, as a cookie that scripts
//     cannot read and other sites cannot send. Programs on the same machine
//     send "Authorization: Bearer" with the token of a file that only its
//     owner can read.
//
// Pages load nothing from elsewhere, and run no script that stands in them
// (Content-Security-Policy).
//
// # Sessions
//
// The token is drawn when the file is not there, and kept, so that sessions
// outlast a restart of the node. A session's cookie holds its end and a keyed
// hash (HMAC-SHA-256) under the token; to end all sessions, remove the file and
// start the node again.
package admin
