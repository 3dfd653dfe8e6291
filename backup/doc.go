// Package backup copies a running installation to a folder or a bucket, and makes
// a new one of it elsewhere.
//
// # What a backup is
//
// A full backup holds, of each subnet, a checkpoint of its store and the log
// behind it up to the cut; an incremental one holds the log between the cut of
// the backup before it and its own. A restore copies the checkpoint and executes
// the log, and compares the digest at every height. Both hash the documents at
// the backup's time (Documents), one on the source and one on what is restored:
// the two must be equal. The folder, or the bucket below a prefix, holds
//
//	backup-000001.json    a Manifest, with a hash over itself
//	objects/ab/abcd...    a file, named by its SHA-256
//
// Objects are written before the manifest that names them. What an interrupted
// backup left is named by no manifest, and is in nobody's way; a backup that is
// repeated does not store it again.
//
// A chain is a full backup and the incremental ones behind it. Each names the one
// before by its hash, so that none can be left out or exchanged. None can be
// removed by itself either: to be rid of old backups, begin a new folder or prefix
// once in a while, and remove the old one as a whole when the new one has been
// verified.
//
// # Buckets
//
// A bucket is written by the protocol of Amazon S3. Every request that stores
// something carries a hash, which the server compares; files over 16 MiB are sent
// in parts, one at a time, and are there when all parts are. Logs are held in
// memory, 32 MiB and a block at most; a checkpoint lies beside the stores, whose
// files it shares, so that no temporary file grows with what is backed up. Parts
// of files that a killed backup left are best removed by a rule of the bucket.
//
// # The cut
//
// A cut is a time T: of each subnet it has exactly the blocks whose time is at or
// before T. T is the time of the newest block of all subnets at one moment;
// closing T on each of them makes sure that no further block comes at or below
// it, while writes go on. A read at T gives the same from the backup as from the
// source.
//
// Letters between subnets must be cut consistently, too. A stream keeps a letter
// until its receiver has acknowledged it, so a letter that was sent and not yet
// received is no problem: the sender, restored, sends it again. What must not be
// is
//
//   - a receiver that has a letter which its sender has not sent: the sender,
//     restored, would give the number to another letter, and that would be taken
//     for the old one and be lost;
//   - a sender that has forgotten a letter which its receiver does not have.
//
// So for the stream from a to b: acked(a) <= in(b) <= out(a). All three only
// grow. A State of each subnet before T is chosen and one after T is closed bound
// them at the cut: it is taken only if acked after <= in before, and in after <=
// out before. Otherwise letters were under way just then, and another T is tried
// in a moment. Restore checks the streams of the states themselves.
package backup
